"""Ways to split a chat into tokens: as the simulated model does, and as a real one does."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from services.local.simulator.tokens import chat_tokens
from services.local.weights import weights
from tests.bench.recorded import Turns

Tokenize = Callable[[Turns], Sequence[object]]
"""Chat to tokens, with the opening of the answer at the end."""
_SPECIAL = 3
"""Type of a token that marks something, in GGUF."""
_DEFAULT_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
"""What the chat template puts first when a chat has no system message."""


@cache
def simulated_tokens(turns: Turns) -> tuple[str, ...]:
    """Return the tokens of the simulated model."""
    return tuple(chat_tokens(turns))


def smollm2() -> Tokenize:
    """Return the tokenizer of SmolLM2, from the vocabulary in the weights of the local model.

    Raises:
        Rejected: the weights are not installed.
    """
    import gguf

    fields = gguf.GGUFReader(weights()).fields
    vocabulary: list[str] = fields["tokenizer.ggml.tokens"].contents()
    pairs = (pair.partition(" ") for pair in fields["tokenizer.ggml.merges"].contents())
    merges = [(first, second) for first, _, second in pairs]
    types = fields["tokenizer.ggml.token_type"].contents()
    tokenizer = _byte_pairs(
        vocabulary,
        merges,
        [word for word, kind in zip(vocabulary, types, strict=True) if kind == _SPECIAL],
    )

    @cache
    def tokens(turns: Turns) -> tuple[int, ...]:
        chat = turns if turns[0][0] == "system" else (("system", _DEFAULT_SYSTEM), *turns)
        text = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in chat)
        return tuple(tokenizer.encode(f"{text}<|im_start|>assistant\n").ids)

    return tokens


def _byte_pairs(vocabulary: list[str], merges: list[tuple[str, str]], special: list[str]) -> Any:
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    ids = {word: number for number, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.BPE(ids, merges))
    # As llama.cpp splits for vocabularies of the type "smollm".
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in special])
    return tokenizer
