"""How large a platform for so many GPUs is: the calculation behind the table of ops/install.md.

    python -m ops.sizing                                 # as in the table: 1, 8 and 64 GPUs
    python -m ops.sizing --gpus 4 --completion-tokens 300 --calls-per-sample 60

Every input has its source beside it. The result is a first guess, to be replaced by what your
model servers and brokers show; it errs on the side of too much.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from services.events.topics import TOPICS
from services.local.simulator.presets import PRESETS
from services.local.simulator.settings import SimulatorSettings
from services.runtime.settings import KafkaSettings

_SERVER = PRESETS["h100-8b"]
"""A model of 8B on one H100: calls at once, cache, seconds of a call."""
_BLOCK_TOKENS = SimulatorSettings().block_size
_DAY = 24 * 60 * 60
_COPIES = 3
_KEPT_DAYS = 7
_MOST_COPIES_ON_A_BROKER = 4_000
"""Copies of partitions: what Kafka's operators advise as an upper bound."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is known of a model call and of what stands around it."""

    prompt_tokens: float = 387
    """Of a call; `make bench NAMES=prefix_cache`."""
    computed_prompt_tokens: float = 109
    """Of these, not found in the prefix cache; the same measurement."""
    completion_tokens: float = 120
    """Of a call; an assumption for a model of 8B (the simulated model's are 38)."""
    calls_per_sample: float = 33
    """19,508 calls, births included, for 600 samples of kind sft by 1,000 simulated people."""
    flops_per_token: float = 2 * 8.2e9
    """Two for each parameter of the model."""
    flops_per_gpu: float = 0.4 * 989e12
    """An H100's dense BF16 peak by its data sheet, of which servers reach about 40 %."""
    cpu_seconds_per_1000_calls: float = 2.1
    """Of the five services together; `make bench NAMES=services` on two cores of an AMD EPYC."""
    bytes_per_resting_agent: float = 9_700
    """`make bench NAMES=population`, 10,000 people."""
    log_bytes_per_call: float = 1_200
    """In topics that expire, before compression; the run of `calls_per_sample`."""
    kept_bytes_per_sample: float = 12_000
    """In topics that are kept for ever; the same run."""
    store_bytes_per_sample: float = 23_000
    """Dataset, rejected candidates and merged files; the same run."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What a number of GPUs needs around it."""

    gpus: int
    slots: int
    """Calls that the model servers work on at once, all together."""
    calls_per_second: float
    samples_per_day: float
    active_agents: int
    people: int
    cores: float
    replicas: int
    partitions: int
    service_memory_gib: float
    brokers: int
    broker_disk_gb: float
    store_gb_per_day: float


def slots_per_gpu(inputs: Inputs) -> int:
    """Return how many calls a server works on at once: its own limit, or what its cache holds."""
    blocks = math.ceil((inputs.prompt_tokens + inputs.completion_tokens) / _BLOCK_TOKENS)
    return min(int(_SERVER["slots"]), int(_SERVER["kv_blocks"] // blocks))


def calls_per_second_per_gpu(inputs: Inputs) -> float:
    """Return the calls that a GPU finishes, all slots taken: what latency or arithmetic allows."""
    seconds = (
        _SERVER["seconds_per_call"]
        + inputs.computed_prompt_tokens * _SERVER["seconds_per_prompt_token"]
        + (inputs.completion_tokens - 1)
        * _SERVER["seconds_per_token"]
        * (1 + _SERVER["load_factor"])
    )
    by_latency = slots_per_gpu(inputs) / seconds
    tokens = inputs.computed_prompt_tokens + inputs.completion_tokens
    by_arithmetic = inputs.flops_per_gpu / inputs.flops_per_token / tokens
    return min(by_latency, by_arithmetic)


def platform(gpus: int, inputs: Inputs | None = None) -> Platform:
    """Return what `gpus` model servers of one GPU each need around them.

    Raises:
        ValueError: there are no GPUs.
    """
    if gpus < 1:
        raise ValueError(f"gpus: expected 1 or more, got {gpus}")
    known = inputs or Inputs()
    slots = gpus * slots_per_gpu(known)
    rate = gpus * calls_per_second_per_gpu(known)
    samples = rate * _DAY / known.calls_per_sample
    # The controller keeps 6 % more calls than slots (decision 18), and an agent that waits for
    # its group has none: two agents for each. Four times as many people, so that they take turns.
    active = _rounded(2 * 1.06 * slots)
    people = 4 * active
    cores = rate * known.cpu_seconds_per_1000_calls / 1000
    # A replica is one core, of which 70 % are to be used; any one service may have half the work.
    replicas = max(2, math.ceil(0.5 * cores / 0.7))
    # Fixed for ever: eight for each replica of today.
    partitions = max(KafkaSettings().partitions, 1 << math.ceil(math.log2(8 * replicas)))
    copies = len(TOPICS) * partitions * _COPIES
    brokers = max(3, math.ceil(copies / _MOST_COPIES_ON_A_BROKER))
    log = _KEPT_DAYS * _DAY * rate * known.log_bytes_per_call
    kept = 30 * samples * known.kept_bytes_per_sample
    return Platform(
        gpus,
        slots,
        rate,
        samples,
        active,
        people,
        cores,
        replicas,
        partitions,
        # 400 MB for each process, and the people once.
        (5 * replicas * 400e6 + people * known.bytes_per_resting_agent) / 2**30,
        brokers,
        (log + kept) * _COPIES / brokers / 1e9,
        samples * known.store_bytes_per_sample / 1e9,
    )


def table(platforms: Sequence[Platform]) -> str:
    """Return the platforms as the columns of a Markdown table."""
    rows: list[tuple[str, list[str]]] = [
        ("calls that the GPUs work on at once", [f"{p.slots:,}" for p in platforms]),
        ("calls a second", [f"{_two(p.calls_per_second):,}" for p in platforms]),
        ("samples a day, kind `sft`", [f"{_two(p.samples_per_day):,}" for p in platforms]),
        ("active agents, found by the controller", [f"{p.active_agents:,}" for p in platforms]),
        ("people to import", [f"{p.people:,}" for p in platforms]),
        ("partitions of every topic, **fixed for ever**", [f"{p.partitions}" for p in platforms]),
        ("replicas of each service, at most", [f"{p.replicas}" for p in platforms]),
        ("cores of all services together", [f"{p.cores:.1f}" for p in platforms]),
        ("memory of all replicas together", [f"{p.service_memory_gib:.1f} GiB" for p in platforms]),
        ("brokers", [f"{p.brokers}" for p in platforms]),
        ("disk of a broker, a month", [f"{_two(p.broker_disk_gb):,} GB" for p in platforms]),
        ("object store, a day", [f"{_two(p.store_gb_per_day):,} GB" for p in platforms]),
    ]
    heads = [f"{p.gpus} GPU{'s' if p.gpus > 1 else ''}" for p in platforms]
    lines = [("", heads), ("---", ["---:"] * len(platforms)), *rows]
    return "\n".join(f"| {' | '.join([name, *cells])} |" for name, cells in lines) + "\n"


def _rounded(number: float) -> int:
    """Round up to hundreds."""
    return math.ceil(number / 100) * 100


def _two(number: float) -> int:
    """Round to two digits: the inputs are no better."""
    digits = max(0, math.floor(math.log10(max(number, 1))) - 1)
    return int(round(number / 10**digits) * 10**digits)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m ops.sizing")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64])
    for field in fields(Inputs):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=float, default=field.default)
    given = vars(parser.parse_args(arguments))
    inputs = replace(Inputs(), **{field.name: given[field.name] for field in fields(Inputs)})
    print(table([platform(gpus, inputs) for gpus in given["gpus"]]), end="")


if __name__ == "__main__":
    main()
