"""Final answers of reasoning problems: found in a response, compared, and voted on.

Answers come from models and may be hostile: nothing is evaluated, and an answer longer than
`MAX_ANSWER_CHARS` is not read. A computer algebra system would find more equal expressions; the one
for this purpose, math-verify, bounds its time by a signal, which only a main thread can receive.
"""

from services.reward_filtering.answers.comparing import majority, normalised, same_answer
from services.reward_filtering.answers.notation import MAX_ANSWER_CHARS
from services.reward_filtering.answers.splitting import split_answer
from services.reward_filtering.answers.traces import TraceLimits, trace_reason

__all__ = [
    "MAX_ANSWER_CHARS",
    "TraceLimits",
    "majority",
    "normalised",
    "same_answer",
    "split_answer",
    "trace_reason",
]
