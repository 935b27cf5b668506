"""What servers quote of a request is masked, whatever they make of it; what they say stays."""

import json

import orjson
import pytest

from services.runtime.request_echoes import LONGEST, without_request

PROMPT = 'Zita keeps "hives"\nnear Łódź and sells 蜂蜜 to all who come by.'
BODY = orjson.dumps({"model": "Qwen/Qwen3-8B-Instruct", "messages": [{"content": PROMPT}]})


@pytest.mark.parametrize(
    "quoted",
    [BODY, json.dumps(orjson.loads(BODY)).encode(), PROMPT.encode(), repr(PROMPT).encode()],
    ids=["as sent", "escaped", "plain", "as Python"],
)
def test_a_quoted_prompt_is_masked_and_the_reason_stays(quoted: bytes) -> None:
    said = without_request(b"input is not valid: " + quoted + b" (code 7)", BODY, "m").decode()
    assert said.startswith("input is not valid: ")
    assert "***" in said
    for word in ("keeps", "near", "sells", "who come"):
        assert word not in said


def test_what_only_looks_alike_is_kept() -> None:
    said = b"The model `Qwen/Qwen3-8B-Instruct` takes 8192 tokens, max_tokens is too large: 60."
    assert without_request(said, BODY, "Qwen/Qwen3-8B-Instruct") == said


def test_a_quotation_that_is_cut_at_the_end_is_masked_to_its_end() -> None:
    long = orjson.dumps({"messages": "canary " * 1000})
    said = without_request(b"no: " + long, long, "m")
    assert len(said) <= LONGEST
    assert b"can" not in said
