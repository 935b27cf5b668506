"""Write the model of a GGUF file as safetensors with its tokenizer, as vLLM serves it.

    PYTHON_WITH_TRANSFORMERS convert.py GGUF DIRECTORY

It is run by the environment of vLLM, in which this repository is not installed.
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def convert(source: Path, target: Path) -> None:
    """Write the model and its tokenizer into the directory `target`."""
    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    if not tokenizer.chat_template:
        raise SystemExit(f"{source} has no chat template: it is no model to talk with")
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16)
    # The numbers are plain from here on; saved with the marks of a quantised model, they would be
    # read as one.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
