"""Whoever sets a value finds beside it what it is."""

import re

import pytest

from tests.deploy.rendering import CHART

_KEY = re.compile(r"(?P<indent> *)(?P<key>[\w.-]+):(?P<value>.*)")


def unexplained(text: str) -> list[str]:
    """Return the values without a comment above them, or above the section that they are in.

    A section is explained by a comment with `--`; one without is a heading, and its values have to
    be explained one by one.
    """
    lines = text.splitlines()
    above: list[tuple[int, str, bool]] = []
    found: list[str] = []
    for number, line in enumerate(lines):
        match = _KEY.fullmatch(line)
        if match is None:
            continue
        indent = len(match["indent"])
        above = [each for each in above if each[0] < indent]
        first = number
        while first and lines[first - 1].lstrip().startswith("#"):
            first -= 1
        explained = any("# -- " in comment for comment in lines[first:number])
        above.append((indent, match["key"], explained))
        section = not match["value"].strip()
        if not section and not any(each[2] for each in above):
            found.append(".".join(each[1] for each in above))
    return found


def test_every_value_is_explained() -> None:
    assert unexplained((CHART / "values.yaml").read_text()) == []


def test_a_value_without_a_comment_is_noticed() -> None:
    text = "a:\n  # -- What b is.\n  b: 1\n  c: 2\n# -- A map.\nd:\n  e: 3\n"
    assert unexplained(text) == ["a.c"]


@pytest.mark.parametrize(
    "name", ["values-kind.yaml", "values-external.yaml", "values-multi-gpu.yaml"]
)
def test_every_file_of_values_says_what_it_is_for(name: str) -> None:
    assert (CHART / name).read_text().startswith("# ")
