"""Dataset tables of the platform: their columns, and where they are."""

import pyarrow as pa


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _list_of(kind: pa.DataType) -> pa.DataType:
    return pa.list_(_required("element", kind))


SAMPLE_SCHEMA = pa.schema(
    [
        _required("id", pa.string()),
        _required("kind", pa.string()),
        _required("dataset", pa.string()),
        _required("stratum", pa.string()),
        _required(
            "messages",
            _list_of(
                pa.struct([_required("role", pa.string()), _required("content", pa.string())])
            ),
        ),
        _required(
            "requirement",
            pa.struct(
                [
                    _required("id", pa.string()),
                    _required("category", pa.string()),
                    _required("complexity", pa.int64()),
                    _required("style", pa.string()),
                    _required("text", pa.string()),
                ]
            ),
        ),
        _required("rewards", _list_of(pa.float64())),
        _required("chosen", pa.int64()),
        _required(
            "student_responses",
            _list_of(
                pa.struct(
                    [
                        _required("text", pa.string()),
                        _required("reward", pa.float64()),
                        _required("outcome", pa.string()),
                    ]
                )
            ),
        ),
        _required("rejected", pa.int64()),
        _required("answer", pa.string()),
        _required("tests", pa.string()),
        _required("accepted", pa.bool_()),
        _required("stage", pa.string()),
        _required("reason", pa.string()),
        # Not a map: `datasets` has no feature type for one.
        _required(
            "scores",
            _list_of(pa.struct([_required("name", pa.string()), _required("value", pa.float64())])),
        ),
        _required("persona", pa.string()),
        _required("scenario_id", pa.string()),
        _required("group_id", pa.string()),
        _required("agent_id", pa.string()),
        _required("agent_ids", _list_of(pa.string())),
        _required("action_ids", _list_of(pa.string())),
        _required("prompt", pa.string()),
        _required("instruction_model", pa.string()),
        _required("response_model", pa.string()),
        _required("student_model", pa.string()),
        _required("reward_model", pa.string()),
        _required("held_out_model", pa.string()),
        _required("calls", pa.int64()),
        _required("prompt_tokens", pa.int64()),
        _required("completion_tokens", pa.int64()),
        _required("created_at", pa.timestamp("us", "UTC")),
    ]
)
"""One row per candidate, accepted ones in the dataset's table and the others in the one beside it;
ops/dataset-schema.md says what the columns mean."""
REJECTED = "_rejected/"
"""Before the name of a dataset: the table of its rejected candidates."""

CONTENT_COLUMNS = tuple(name for name in SAMPLE_SCHEMA.names if name != "created_at")
"""The columns that two deterministic runs agree on."""
