"""Forms that a prompt asks of free text: a final answer, a code block, a refusal, the word DONE.

The test double cannot solve anything. What it can is be right at a rate that the problem decides,
so that success rates are known, differ between problems, and are the same for equal prompts.
"""

import re
from hashlib import blake2b
from random import Random

from services.local.simulator.prompt import Prompt

_FINAL_ANSWER = 'line "Answer: ..."'
_DONE = "or DONE."
_TESTS = "code block with the tests"
_CODE = "Write the code block"
_MAY_REFUSE = '"I can\'t help with that"'
_FUNCTION = re.compile(r"\bfunction ([a-z_][a-z0-9_]*)\(")
_DONE_SHARE = 0.3
_ANSWER_LINES = ("Answer: {}", "**Answer:** {}", "Answer: {}.", "The answer is {}.")


def formed(prompt: Prompt, random: Random, text: str) -> str:
    """Return `text` in the form that the last message of the prompt asks for.

    Args:
        prompt: What is answered.
        random: Decides whether it is right.
        text: Free text that takes up the words of the prompt.
    """
    asked = prompt.messages[-1][1] if prompt.messages else ""
    if _FINAL_ANSWER in asked:
        return f"{text}\n{_final_answer(prompt.last('problem') or asked, random)}"
    if asked.rstrip("\n").endswith(_DONE) and random.random() < _DONE_SHARE:
        return "DONE"
    if _TESTS in asked:
        return _tests(_name(prompt))
    if _CODE in asked:
        return _solution(_name(prompt), prompt.last("task") or asked, random)
    if any(_MAY_REFUSE in content for _, content in prompt.messages[:1]):
        request = prompt.last("request") or asked
        if random.random() < _rate(request):
            return f"I can't help with that, because it could hurt somebody. {text}"
    return text


def _rate(problem: str) -> float:
    """Return how often the model is right at a problem, in [0, 1)."""
    return _number(problem, "rate") / 2**32


def _number(problem: str, use: str) -> int:
    data = f"{use}\0{problem}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=4).digest())


def _final_answer(problem: str, random: Random) -> str:
    right = 10 + _number(problem, "answer") % 90
    # Mistakes are the same ones again: a majority is not always right.
    said = right if random.random() < _rate(problem) else right + random.randint(1, 4)
    return random.choice(_ANSWER_LINES).format(said)


def _name(prompt: Prompt) -> str:
    found = _FUNCTION.search(prompt.last("task") or "")
    return found.group(1) if found else "solve"


def _solution(name: str, task: str, random: Random) -> str:
    body = "sorted(values)" if random.random() < _rate(task) else "list(values)"
    return f"```python\ndef {name}(values):\n    return {body}\n```"


def _tests(name: str) -> str:
    return (
        "```python\n"
        f"def test_order():\n    assert {name}([3, 1, 2]) == [1, 2, 3]\n\n"
        f"def test_sorted_input():\n    assert {name}([1, 2]) == [1, 2]\n\n"
        f"def test_empty_input():\n    assert {name}([]) == []\n"
        "```"
    )
