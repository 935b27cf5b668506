"""Speeds of real servers, to be simulated.

Times are profiles of llm-d-inference-sim (docs/latency-profiles.md, gathered from benchmarks of
vLLM, MLPerf and NVIDIA): orders of magnitude, in 16 bits, with 256 tokens of prompt. Sequences at
once are vLLM's defaults for the memory of the GPU. Blocks of the KV cache are what 92 % of it hold
beside the weights, at 2 * layers * KV heads * 128 * 2 bytes a token.
"""

from collections.abc import Mapping

Preset = Mapping[str, int | float]
"""Values of fields of `SimulatorSettings`."""

PRESETS: Mapping[str, Preset] = {
    # First token after 94 ms, then 10 to 15 ms a token; 55 GB of cache, 128 KiB a token.
    "h100-8b": {
        "slots": 1024,
        "seconds_per_call": 0.030,
        "seconds_per_prompt_token": 0.000_25,
        "seconds_per_token": 0.010,
        "load_factor": 0.5,
        "kv_blocks": 26_000,
    },
    # Tensor parallelism of 8: 208 ms, then 18 to 28 ms a token; 430 GB, 320 KiB a token.
    "h100x8-70b": {
        "slots": 1024,
        "seconds_per_call": 0.080,
        "seconds_per_prompt_token": 0.000_5,
        "seconds_per_token": 0.018,
        "load_factor": 0.55,
        "kv_blocks": 82_000,
    },
    # 110 ms, then 15 to 22 ms a token; 36 GB, 112 KiB a token.
    "l40s-3b": {
        "slots": 256,
        "seconds_per_call": 0.020,
        "seconds_per_prompt_token": 0.000_35,
        "seconds_per_token": 0.015,
        "load_factor": 0.5,
        "kv_blocks": 19_600,
    },
}
