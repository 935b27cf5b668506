"""A deterministic tokenizer: words with their leading space, single digits, punctuation.

It counts about as a byte-pair vocabulary of 50,000 does on English, and costs one regular
expression. Joining the tokens of a text gives the text back.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

Messages = tuple[tuple[str, str], ...]
"""The turns of a chat as (role, content)."""
VOCABULARY_SIZE = 49_152
END_OF_TURN = "<|im_end|>"
_START_OF_TURN = "<|im_start|>"
START_OF_ANSWER = (_START_OF_TURN, "assistant", "\n")
"""What is after the last turn of a chat that is to be answered."""
_SPECIAL = {"<|endoftext|>": 0, _START_OF_TURN: 1, END_OF_TURN: 2}
_FIRST_ORDINARY_ID = 256

_TOKEN = re.compile(
    r" ?[^\W\d_]{1,12}"  # a word, or 12 letters of a long one
    r"|\d"
    r"| ?(?:[^\w\s]|_){1,3}"
    r"|\s+(?!\S)"  # white space, but for the space that belongs to the next word
    r"|\s+"
)
# The same for ASCII text: classes of a few ranges, which are looked up faster.
_ASCII_TOKEN = re.compile(r" ?[A-Za-z]{1,12}|[0-9]| ?[^A-Za-z0-9\s]{1,3}|\s+(?!\S)|\s+")


def tokenize(text: str) -> list[str]:
    """Split `text` into tokens, which joined give `text`."""
    return (_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text)


@lru_cache(maxsize=4096)
def count_tokens(text: str) -> int:
    """Return how many tokens `text` has; prompts that come again are not split again."""
    return len(tokenize(text))


def turn_tokens(role: str, content: str) -> tuple[str, ...]:
    """Return the tokens of one turn of a chat as ChatML."""
    return (_START_OF_TURN, role, "\n", *tokenize(content), END_OF_TURN, "\n")


def chat_tokens(messages: Iterable[tuple[str, str]], *, opened: bool = True) -> list[str]:
    """Return the tokens of a chat of (role, content) as ChatML, with an answer `opened` or not."""
    tokens: list[str] = []
    for role, content in messages:
        tokens += turn_tokens(role, content)
    return [*tokens, *START_OF_ANSWER] if opened else tokens


def count_chat_tokens(messages: Sequence[tuple[str, str]]) -> int:
    """Return the length of `chat_tokens(messages)`."""
    return sum(5 + count_tokens(content) for _, content in messages) + 3


def token_id(token: str) -> int:
    """Return the id of `token`, below `VOCABULARY_SIZE`; rare tokens may share one."""
    special = _SPECIAL.get(token)
    if special is not None:
        return special
    spread = VOCABULARY_SIZE - _FIRST_ORDINARY_ID
    return _FIRST_ORDINARY_ID + zlib.crc32(token.encode("utf-8", "surrogatepass")) % spread


def printed(token: str) -> str:
    """Return `token` as byte-level vocabularies write it: a space as Ġ, a line end as Ċ."""
    return token.replace(" ", "\u0120").replace("\n", "\u010a").replace("\t", "\u0109")
