import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reward_filtering.answers import TraceLimits, split_answer, trace_reason
from services.runtime.errors import Rejected


@pytest.mark.parametrize(
    ("text", "trace", "answer"),
    [
        ("2 + 2 = 4\nAnswer: 4", "2 + 2 = 4", "4"),
        ("We add.\n\n**Answer:** 4 km.", "We add.", "4 km"),
        ("We add.\n**Answer: 4**", "We add.", "4"),
        ("- **Answer**: Yes", "", "Yes"),
        ("We add.\n**Final Answer**\n\n42", "We add.", "42"),
        ("## Final answer\n42 km", "", "42 km"),
        ("The answer is:\n\n42", "", "42"),
        ("It adds up.\nSo the answer is 42.", "It adds up.", "42"),
        ("The answer is 3.5. I hope it helps.", "The answer is 3.5. I hope it helps.", "3.5"),
        ("The answer is Dr. Smith.", "", "Dr. Smith"),
        ("Answer: 3:30 p.m.", "", "3:30 p.m."),
        ("Final Answer: The final answer is $3$. I hope it is correct.", "", "$3$"),
        (r"Thus, the final answer is $\boxed{\frac{1}{2}}$.", "", r"\frac{1}{2}"),
        (r"Then 2 + 3 = \boxed{5}.", r"Then 2 + 3 = \boxed{5}.", "5"),
        ("So\n\\[\n\\boxed{5}\n\\]\nDone.", "So\n\nDone.", "5"),
        (r"Answer: \boxed{5}", "", "5"),
        (r"\boxed{a \{1\} b}", "", r"a \{1\} b"),
        (r"We get \boxed{12", r"We get \boxed{12", "12"),
        ("It is 3 + 4.\n#### 7\n", "It is 3 + 4.", "7"),
        ("#### Step 1\nfoo\n#### Step 2\nbar", "#### Step 1\nfoo\n#### Step 2\nbar", ""),
        ("Answer: 3\nWait.\nAnswer: 5", "Answer: 3\nWait.", "5"),
        ("\\boxed{3}\nNo.\nAnswer: 5", "\\boxed{3}\nNo.", "5"),
        ("Answer: 5\n\nExplanation: 2 + 3.", "Explanation: 2 + 3.", "5"),
        ("<think>Answer: 3</think>\nAnswer: 4", "Answer: 3", "4"),
        ("<think>\\boxed{3}</think>\nDone.", "\\boxed{3}\nDone.", ""),
        ("<think>so \\boxed{3}", "so \\boxed{3}", ""),
        ("First.</think>The answer is (B).", "First.", "(B)"),
        ("First. <answer>12</answer>", "First.", "12"),
        ("First. <answer>\\boxed{12}", "First.", "12"),
        ("\u56e0\u6b64\n\u7b54\u6848\uff1a42", "\u56e0\u6b64", "42"),
        (
            "\u041e\u0442\u0432\u0435\u0442: \u041c\u043e\u0441\u043a\u0432\u0430",
            "",
            "\u041c\u043e\u0441\u043a\u0432\u0430",
        ),
        ("The answer is not clear to me.", "The answer is not clear to me.", ""),
        ("Question: what?\nAnswer:", "Question: what?\nAnswer:", ""),
        ("She gave an answer to him.", "She gave an answer to him.", ""),
        ("", "", ""),
    ],
)
def test_the_trace_and_the_answer_come_apart(text: str, trace: str, answer: str) -> None:
    assert split_answer(text) == (trace, answer)


PIECES = st.sampled_from(
    [
        *["Answer: ", "The answer is ", "#### ", "**Answer:** ", "\\boxed{", "}", "<think>", "\n"],
        *[
            "</think>",
            "<answer>",
            "</answer>",
            "42",
            "We add.",
            " ",
            "**",
            "$",
            "\u7b54\u6848\uff1a",
            "\r",
        ],
        *["\\[", "\\]", ".", "Final answer", "\u2028"],
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join) | st.text())
def test_an_answer_is_a_part_of_its_response(text: str) -> None:
    trace, answer = split_answer(text)
    assert answer in text
    assert answer == answer.strip()
    assert "<think>" not in trace
    if not answer:
        assert len(trace) <= len(text) + 4


@given(st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=20))
def test_an_answer_in_any_script_is_found_in_any_form(said: str) -> None:
    for form in ("Answer: {}", "**Answer:** {}", "#### {}", "\\boxed{{{}}}", "The answer is {}."):
        text = "We add.\n" + form.format(said)
        trace, answer = split_answer(text)
        if "answer" not in said.lower() and not said.lower().startswith("not"):
            assert (trace, answer) == ("We add.", said), form


@pytest.mark.parametrize(
    "text",
    [
        *["\\boxed{" * 100_000, "Answer: " * 100_000, "Answer:\n" * 100_000, "#" * 10**6],
        *["<think>" * 100_000, "<answer>" * 100_000, "</think>" * 100_000, "the " * 200_000],
        *["the answer is " * 50_000, "*" * 10**6 + "x", "\n" * 10**6, "\\boxed{}\n" * 50_000],
        *["*" * 10**6 + "\\boxed{5}", "Answer: " + ". " * 300_000, "my " + "a" * 10**6 + " answer"],
        *["\\[ " * 200_000 + "\nAnswer: 5", "$" * 10**6, "\\boxed{" + "{" * 10**6, "so " * 200_000],
    ],
)
def test_no_response_keeps_the_splitting_busy(text: str) -> None:
    started = time.process_time()
    split_answer(text)
    assert time.process_time() - started < 10


LIMITS = TraceLimits(min_words=5, max_words=40)
TRACE = "The train needs two hours for 120 km, so it covers 60 km in each hour of the journey."


@pytest.mark.parametrize(
    ("trace", "answer", "reason"),
    [
        (TRACE, "60 km/h", ""),
        (TRACE, "", "no_answer"),
        (TRACE, "?!", "no_answer"),
        ("", "", "no_answer"),
        ("Two hours.", "60", "trace_short"),
        (" ".join(f"step{number}" for number in range(41)), "60", "trace_long"),
        (" ".join(f"step{number}" for number in range(40)), "60", ""),
        ("wait no " * 15, "60", "repetitive"),
    ],
)
def test_reasons_not_to_keep_a_trace(trace: str, answer: str, reason: str) -> None:
    assert trace_reason(trace, answer, LIMITS) == reason


@pytest.mark.parametrize(("least", "most"), [(-1, 5), (6, 5)])
def test_limits_that_no_trace_can_keep_are_rejected(least: int, most: int) -> None:
    with pytest.raises(Rejected, match="min_words"):
        TraceLimits(least, most)
