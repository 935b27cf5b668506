"""Are the model servers busy and fast, seen from the platform and by themselves?"""

from ops.dashboards.panels import (
    Dashboard,
    Panel,
    Query,
    Row,
    bad_from,
    good_below,
    good_from,
    quantiles,
    rate,
    ratio,
    total,
)

_R = 'role=~"$role"'
_V = f'job="matrix-models", {_R}'
"""Series of the model servers; on one machine they have no role, and match `.*`."""

_CALLS = rate("matrix_model_calls_total", "role", _R)
_PROMPT = rate("matrix_model_prompt_tokens_total", "role", _R)
_COMPLETION = rate("matrix_model_completion_tokens_total", "role", _R)


def _mean(over_replicas: str, gauge: str) -> str:
    # One look in between says little: calls come and go within a scrape.
    return f"{over_replicas} by (server) (avg_over_time({gauge}[$__rate_interval]))"


_SATURATED = Row(
    "Are they saturated? As the platform sees it",
    (
        Panel(
            "Backlog for each running sequence",
            "What waits, here and in the server, against what runs. 2 to 10 % while datasets want "
            "more: the server never runs dry and nothing waits long. 0 %: it could do more, and "
            "the society is too small or waits, see Society. Far more: too many agents, which the "
            "population control mends within minutes.",
            "percentunit",
            (
                Query(
                    ratio(
                        f"({_mean('max', 'matrix_model_server_queued')} "
                        f"+ {_mean('sum', 'matrix_model_waiting')})",
                        _mean("max", "matrix_model_server_running"),
                    ),
                    "{{server}}",
                ),
            ),
            thresholds=good_below(0.3, 1.0),
        ),
        Panel(
            "In flight, waiting, slots",
            "Slots are what all processes together may have under way; each has a limit of its "
            "own, which follows the server's queue. In flight at the slots with calls waiting is "
            "right while the limits still grow after a start. If it stays so, see the backlog.",
            "none",
            (
                Query(total("matrix_model_in_flight", "server"), "in flight {{server}}"),
                Query(total("matrix_model_waiting", "server"), "waiting {{server}}"),
                Query(total("matrix_model_slots", "server"), "slots {{server}}"),
            ),
        ),
        Panel(
            "Batch and queue, as the server tells us",
            "A full batch and a short queue are good. A queue that grows while our own calls do "
            "not means that others use the same server.",
            "none",
            (
                # Every replica that asks a server is told the same by it.
                Query("max by (server) (matrix_model_server_running)", "in the batch {{server}}"),
                Query("max by (server) (matrix_model_server_queued)", "in the queue {{server}}"),
            ),
        ),
        Panel(
            "Calls per second by role",
            "Steady while datasets want more. If a role stops alone, its server is away: see "
            "retries, and readiness on Pipeline.",
            "reqps",
            (Query(_CALLS, "{{role}}"),),
            stacked=True,
        ),
        Panel(
            "Calls per second by stage",
            "What the calls are for. The society's stages and the dataset's stages are in a "
            "steady proportion; if one grows alone, it repeats itself: see malformed answers.",
            "reqps",
            (Query(rate("matrix_model_calls_total", "stage", _R), "{{stage}}"),),
            stacked=True,
        ),
        Panel(
            "Tokens per second by role",
            "Generated tokens are what the hardware is paid for. Compare with what the server "
            "itself tells below: the difference is use by others, or what was thrown away.",
            "short",
            (
                Query(_COMPLETION, "generated {{role}}"),
                Query(_PROMPT, "prompt {{role}}"),
            ),
        ),
    ),
)

_FAST = Row(
    "How fast, and how reliable?",
    (
        Panel(
            "Latency of a call by role",
            "From the request to the whole answer. Seconds to tens of seconds, by model. It grows "
            "with the batch; if it grows without more in flight, look at KV cache and preemptions.",
            "s",
            quantiles("matrix_model_call_seconds", "role", _R),
            exemplars=True,
        ),
        Panel(
            "95th percentile by stage",
            "Long stages are those with long answers. One that grew names the prompt to look at.",
            "s",
            (quantiles("matrix_model_call_seconds", "stage", _R)[1],),
            exemplars=True,
        ),
        Panel(
            "Wait for a slot by role",
            "How long calls wait on our side. Short beside the call itself. If it is longer than "
            "the calls, there are more agents at work than the server can serve.",
            "s",
            quantiles("matrix_model_queue_seconds", "role", _R),
            exemplars=True,
        ),
        Panel(
            "Retries per second by cause",
            "None, or a few while a server starts. If they last, the cause says whether it is "
            "away, overloaded or slow; `matrix_ready` on Pipeline says who waits for it.",
            "none",
            (Query(rate("matrix_model_retries_total", "cause"), "{{cause}}"),),
            stacked=True,
            no_value="no retries",
        ),
        Panel(
            "Failures by stage, in 5 minutes",
            "Refused: the server will never answer such a request, mostly one that is too long. "
            "Malformed: an answer without the form asked for. Given up: no answer in spite of "
            "retries. A rare malformed answer is natural; for the others look in the log of the "
            "component.",
            "none",
            tuple(
                Query(
                    f"sum by (stage) (increase(matrix_model_{what}_total[5m]))",
                    f"{what.replace('_', ' ')} {{{{stage}}}}",
                )
                for what in ("refused", "malformed", "given_up")
            ),
            no_value="none",
        ),
        Panel(
            "Prompt tokens from the prefix cache",
            "The share of prompt tokens that the server did not have to compute, as it told us "
            "with each answer. Prompts begin alike on purpose: half and more is good. If it is "
            "low, the KV cache is too small for so many sequences, or the cache is off.",
            "percentunit",
            (
                Query(
                    ratio(rate("matrix_model_cached_prompt_tokens_total", "role", _R), _PROMPT),
                    "{{role}}",
                ),
            ),
            maximum=1.0,
        ),
        Panel(
            "Tokens of a call by role",
            "Means of prompt and answer. They change slowly. Prompts that grow for hours mean "
            "memories that grow; answers that jump to the limit mean a model that does not stop.",
            "short",
            (
                Query(ratio(_PROMPT, _CALLS), "prompt {{role}}"),
                Query(ratio(_COMPLETION, _CALLS), "answer {{role}}"),
            ),
            width=12,
        ),
        Panel(
            "Cost per hour by role",
            "By the prices in the settings, in their currency. Without prices there is nothing to "
            "show. It follows the tokens.",
            "none",
            (Query(f"{rate('matrix_model_cost_total', 'role', _R)} * 3600", "{{role}}"),),
            stacked=True,
            width=12,
            no_value="no prices are set",
        ),
    ),
)

_BY = "role, instance"
_NAME = "{{role}} {{instance}}"
_SERVERS = Row(
    "What the model servers tell of themselves (vLLM)",
    (
        Panel(
            "Running and waiting requests",
            "Running near the server's limit and few waiting. None running while ours are in "
            "flight: the calls do not reach it.",
            "none",
            (
                Query(total("vllm:num_requests_running", _BY, _V), f"running {_NAME}"),
                Query(total("vllm:num_requests_waiting", _BY, _V), f"waiting {_NAME}"),
            ),
        ),
        Panel(
            "Time to first token",
            "The queue and the prompt's computation. Below a few seconds. If it grows, requests "
            "wait in the server (see waiting) or prompts miss the prefix cache.",
            "s",
            quantiles("vllm:time_to_first_token_seconds", "role", _V),
            thresholds=good_below(5, 20),
        ),
        Panel(
            "Inter-token latency",
            "How long a sequence waits for its next token. Tens of milliseconds on a GPU; it grows "
            "with the batch. If it grows alone, another program uses the GPU.",
            "s",
            quantiles("vllm:inter_token_latency_seconds", "role", _V),
            thresholds=good_below(0.2, 1.0),
        ),
        Panel(
            "End-to-end latency",
            "The server's own time for a request. Ours above is the same and the network's; if "
            "ours is much longer, the event loop is late: see Pipeline.",
            "s",
            quantiles("vllm:e2e_request_latency_seconds", "role", _V),
        ),
        Panel(
            "Queue time in the server",
            "Waiting for a place in the batch. Near 0, because we wait on our side, in order of "
            "importance. If it grows, slots are set too high, or others use the server.",
            "s",
            quantiles("vllm:request_queue_time_seconds", "role", _V),
            thresholds=good_below(1, 10),
        ),
        Panel(
            "KV cache in use",
            "High and below 100 %. At 100 % sequences are preempted and computed again: fewer "
            "slots, a smaller context, or more memory.",
            "percentunit",
            (Query(f"max by ({_BY}) (vllm:kv_cache_usage_perc{{{_V}}})", _NAME),),
            thresholds=good_below(0.9, 0.98),
            maximum=1.0,
        ),
        Panel(
            "Prefix cache hit rate",
            "Of the tokens looked up. Half and more is good; it falls when the KV cache is too "
            "small to keep prefixes.",
            "percentunit",
            (
                Query(
                    ratio(
                        rate("vllm:prefix_cache_hits_total", _BY, _V),
                        rate("vllm:prefix_cache_queries_total", _BY, _V),
                    ),
                    _NAME,
                ),
            ),
            maximum=1.0,
        ),
        Panel(
            "Preemptions and refused admissions per second",
            "0. Preempted sequences are computed twice: the KV cache is full. Refused admissions: "
            "the server's queue is limited and full, and we retry.",
            "none",
            (
                Query(rate("vllm:num_preemptions_total", _BY, _V), f"preempted {_NAME}"),
                Query(rate("vllm:admission_rejections_total", _BY, _V), f"refused {_NAME}"),
            ),
            thresholds=bad_from(0.1),
        ),
        Panel(
            "Tokens per second of the server",
            "The throughput that the hardware gives. Know its best value from the benchmark of "
            "the model; well below it with few running, the platform does not ask enough.",
            "short",
            (
                Query(rate("vllm:generation_tokens_total", _BY, _V), f"generated {_NAME}"),
                Query(rate("vllm:prompt_tokens_total", _BY, _V), f"prompt {_NAME}"),
            ),
        ),
        Panel(
            "Finished requests per second by reason",
            "`stop` is an answer that ended by itself. Many of `length` are cut off: raise the "
            "limit of the stage or change its prompt. `abort` and `error` are near 0.",
            "reqps",
            (
                Query(
                    rate("vllm:request_success_total", "finished_reason", _V),
                    "{{finished_reason}}",
                ),
            ),
            stacked=True,
            width=12,
        ),
        Panel(
            "Model servers that answer Prometheus",
            "1 for each. 0: the server is down or restarts; it loads its weights for minutes.",
            "none",
            (Query(f"min by ({_BY}) (up{{{_V}}})", _NAME),),
            thresholds=good_from(1, 1),
            maximum=1.0,
            width=12,
        ),
    ),
)

DASHBOARD = Dashboard(
    "models",
    "MATRIX: Models",
    "Are the model servers busy and fast, seen from the platform and by themselves?",
    ("role",),
    (_SATURATED, _FAST, _SERVERS),
)
