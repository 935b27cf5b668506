"""What a model server says of a request that it does not answer, without the prompt in it.

Servers quote in their errors what they were sent, and errors are logged.
"""

import json

import orjson

LONGEST = 500
"""Bytes that are kept of what a server says."""
_RUN = 12
"""Bytes in a row that also stand in the request count as a quotation."""
_HIDDEN = b"***"


def without_request(said: bytes, body: bytes, model: str) -> bytes:
    """Return the beginning of what a server says, with what it quotes of the request masked.

    Args:
        said: the body of its answer.
        body: the JSON that it was sent.
        model: the name that was asked for, which may be quoted.
    """
    # Servers write other alphabets, quotation marks and ends of lines as they are, or escaped.
    forms = [body, json.dumps(orjson.loads(body)).encode()]
    forms += [form.replace(b'\\"', b'"') for form in forms]
    forms += [form.replace(b"\\n", b"\n") for form in forms]
    sent = b"\0".join(form.replace(model.encode(), b"\0") for form in forms)
    said = said[:LONGEST]
    quoted = bytearray(len(said))
    for start in range(len(said) - _RUN + 1):
        if said[start : start + _RUN] in sent:
            quoted[start : start + _RUN] = b"\1" * _RUN
    kept, hidden = bytearray(), False
    for byte, is_quoted in zip(said, quoted, strict=True):
        if not is_quoted:
            kept.append(byte)
        elif not hidden:
            kept += _HIDDEN
        hidden = bool(is_quoted)
    return bytes(kept)
