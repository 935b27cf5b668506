"""Valid inputs, which random ones are bred from."""

import gzip
import io
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

_SCALARS: dict[Any, Any] = {str: "text", int: 3, float: 0.5, bool: True, bytes: b"\x00\xff"}
_ROWS = [
    {"id": "p1", "name": "Ada", "description": "Ada bakes.", "actions": ["Ada kneads."]},
    {
        "id": "p2",
        "name": "Ben \u00e9",
        "description": "Ben sews, \u4ed5\u7acb\u5c4b.",
        "actions": [],
    },
]


def specimen(hint: Any) -> Any:
    """Return a value of a type, with something in every field."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        own = typing.get_type_hints(hint)
        return hint(**{field.name: specimen(own[field.name]) for field in fields(hint)})
    if origin in (typing.Union, types.UnionType):
        return specimen(next(each for each in inner if each is not types.NoneType))
    if origin is tuple:
        return (specimen(inner[0]), specimen(inner[0]))
    if origin is typing.Literal:
        return inner[0]
    return {"key": specimen(inner[1])} if origin is Mapping else _SCALARS[hint]


def profile_files() -> Iterator[tuple[str, bytes]]:
    """Yield files of each kind with their suffix; `.packed` is what is still to be compressed."""
    lines = b"\n".join(orjson.dumps(row) for row in _ROWS)
    cells = 'id,name,description,actions\np1,Ada,"Ada\nbakes, ""well""",kneads | rests\n'
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(_ROWS), table)
    yield ".jsonl", lines
    yield ".csv", cells.encode()
    yield ".jsonl.gz", gzip.compress(lines, mtime=0)
    yield ".packed.jsonl.gz", lines
    yield ".parquet", table.getvalue()
    yield ".parquet", table.getvalue().replace(b"name", b"n\xffme")


CHAT_ANSWER = orjson.dumps(
    {
        "model": "m",
        "choices": [
            {
                "message": {"role": "assistant", "content": "Yes"},
                "logprobs": {"content": [{"top_logprobs": [{"token": "Yes", "logprob": -0.1}]}]},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
)


def odd_answers() -> Iterator[bytes]:
    """Yield a good chat answer, then that with values of another type in it."""
    yield b"\0" + CHAT_ANSWER
    for value in (b'"m"', b'"Yes"', b'"stop"', b"-0.1", b"1", b"1}}"):
        for other in (b'["a"]', b'{"a": 1}', b'"b"', b"0.5", b"true", b"null"):
            yield b"\0" + CHAT_ANSWER.replace(value, other, 1)


EMBEDDINGS = orjson.dumps({"data": [{"index": 0, "embedding": [0.5, 1]}]})
CALLERS = b"""
[[callers]]
name = "dashboard"
token_sha256 = "%s"
permissions = ["read"]

[[callers]]
name = "replicas"
certificate = "agent-state"
permissions = ["operate"]
""" % (b"0" * 64)
