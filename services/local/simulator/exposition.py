"""/metrics: the engine's numbers under the names, types and labels of vLLM (0.32 and 0.33)."""

import time
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.local.simulator.engine import Engine
from services.local.simulator.measurements import Histogram
from services.local.simulator.metric_names import HELP, HISTOGRAMS
from services.local.simulator.settings import SimulatorSettings

Values = Mapping[str, float]

_FINISH_REASONS = ("stop", "length", "abort", "error", "repetition")
_TIERS = ("device", "host", "p2p", "disk", "external_unspecified")
_SLEEP_STATES = {"awake": 1.0, "weights_offloaded": 0.0, "discard_all": 0.0}


def registry_of(settings: SimulatorSettings, engine: Engine) -> CollectorRegistry:
    """Return a registry of its own for the engine of one server."""
    registry = CollectorRegistry()
    registry.register(EngineCollector(settings, engine))
    return registry


class EngineCollector(Collector):
    """Reads the engine whenever the page is asked for."""

    def __init__(self, settings: SimulatorSettings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._created = time.time()
        self._labels = {"model_name": settings.names[0], "engine": "0"}

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, in the order of vLLM."""
        yield from self._state()
        yield from self._counters()
        for name, attribute in HISTOGRAMS.items():
            yield self._histogram(name, getattr(self._engine.measurements, attribute))
        yield self._cache_config()

    def _state(self) -> Iterator[Metric]:
        engine = self._engine
        waiting = {"capacity": engine.waiting, "deferred": 0}
        yield self._gauge("num_requests_running", engine.running)
        yield self._gauge("num_requests_waiting", engine.waiting)
        yield self._gauge("num_requests_waiting_by_reason", waiting, "reason")
        yield self._gauge("engine_sleep_state", _SLEEP_STATES, "sleep_state")
        usage = 0.0 if engine.cache is None else engine.cache.usage
        yield self._gauge("kv_cache_usage_perc", usage)

    def _counters(self) -> Iterator[Metric]:
        counted = self._engine.measurements
        cached = counted.cached_prompt_tokens
        sources = {
            "local_compute": counted.prompt_tokens - cached,
            "local_cache_hit": cached,
            "external_kv_transfer": 0,
        }
        tiers = dict.fromkeys(_TIERS, 0) | {"device": counted.cache_hits}
        reasons = {reason: counted.finished_by_reason[reason] for reason in _FINISH_REASONS}
        rejections = {"max_num_queued_reqs": counted.rejections, "max_num_queued_tokens": 0}
        yield self._counter("prefix_cache_queries", counted.cache_queries)
        yield self._counter("prefix_cache_hits", counted.cache_hits)
        yield self._counter("num_preemptions", 0)
        yield self._counter("prompt_tokens", counted.prompt_tokens)
        yield self._counter("prompt_tokens_by_source", sources, "source")
        yield self._counter("prompt_tokens_cached", cached)
        yield self._counter("prompt_tokens_cached_by_source", tiers, "source")
        yield self._counter("generation_tokens", counted.generated_tokens)
        yield self._counter("request_success", reasons, "finished_reason")
        # The front end counts these, not an engine.
        front = {"model_name": self._settings.names[0]}
        yield self._counter("admission_rejections", rejections, "reason", front)

    def _gauge(self, name: str, value: float | Values, label: str = "") -> Metric:
        metric = Metric(f"vllm:{name}", HELP[name], "gauge")
        for labels, number in _split(self._labels, value, label):
            metric.add_sample(f"vllm:{name}", labels, number)
        return metric

    def _counter(
        self,
        name: str,
        value: float | Values,
        label: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> Metric:
        metric = Metric(f"vllm:{name}", HELP[name], "counter")
        for one, number in _split(labels or self._labels, value, label):
            metric.add_sample(f"vllm:{name}_total", one, number)
            metric.add_sample(f"vllm:{name}_created", one, self._created)
        return metric

    def _histogram(self, name: str, histogram: Histogram) -> Metric:
        metric = Metric(f"vllm:{name}", HELP[name], "histogram")
        buckets = histogram.cumulative
        for bound, number in buckets:
            metric.add_sample(f"vllm:{name}_bucket", self._labels | {"le": bound}, number)
        metric.add_sample(f"vllm:{name}_count", self._labels, buckets[-1][1])
        metric.add_sample(f"vllm:{name}_sum", self._labels, histogram.sum)
        metric.add_sample(f"vllm:{name}_created", self._labels, self._created)
        return metric

    def _cache_config(self) -> Metric:
        blocks, size = self._settings.kv_blocks, self._settings.block_size
        tokens = None if blocks is None else blocks * size
        most = None if tokens is None else tokens / self._settings.max_model_len
        labels = {
            "block_size": str(size),
            "enable_prefix_caching": str(blocks is not None),
            "kv_cache_size_tokens": str(tokens),
            "kv_cache_max_concurrency": str(most),
            "num_gpu_blocks": str(blocks),
            "engine": "0",
        }
        metric = Metric("vllm:cache_config_info", HELP["cache_config_info"], "gauge")
        metric.add_sample("vllm:cache_config_info", labels, 1.0)
        return metric


def _split(
    labels: Mapping[str, str], value: float | Values, label: str
) -> Iterator[tuple[dict[str, str], float]]:
    """Yield one (labels, number), or one for each value of `label`."""
    if isinstance(value, Mapping):
        for key, number in value.items():
            yield {**labels, label: key}, number
    else:
        yield dict(labels), value
