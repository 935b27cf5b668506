"""The runbook has a section for each alert, and its commands exist."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from kafka.errors import KafkaConnectionError

from services.cli.commands import app_for

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "ops" / "runbook.md").read_text()
ALERTS = yaml.safe_load((ROOT / "ops" / "alerts.yaml").read_text())
NAMES = {rule["alert"] for group in ALERTS["groups"] for rule in group["rules"] if "alert" in rule}
SECTIONS: dict[str, str] = dict(
    re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
)
_UP = "\n# matrix up"


def commands(text: str) -> list[list[str]]:
    """Return the command lines of `matrix` in blocks and in the text, as words."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", rest)]
    found = []
    for line in lines:
        start = re.match(r"(?:kubectl .* -- |(?:MATRIX_\w+=\S+ )+)?(?=matrix )", line)
        # `matrix up` in a sentence is its name.
        if start and line != "matrix up":
            found.append(shlex.split(line[start.end() :], comments=True))
    return found


def parsed(words: list[str]) -> None:
    """Parse a command as the program would, without doing it; raises what it would complain of."""
    command: Any = typer.main.get_command(app_for(words[1]))
    rest = words[1:]
    while commands := getattr(command, "commands", None):
        name, rest = rest[0], rest[1:]
        command = commands[name]
    command.make_context(words[1], rest)


def anchors(page: str) -> set[str]:
    """Return the anchors of a page, as GitHub makes them of headings."""
    outside = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    assert set(SECTIONS) == NAMES
    assert len(re.findall(r"^### ", PAGE, re.MULTILINE)) == len(NAMES)
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
                assert (ROOT / page).read_text() == PAGE
                assert anchor in anchors(PAGE)


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_a_section_says_what_it_is_what_to_run_first_and_when_it_is_over(name: str) -> None:
    text = SECTIONS[name]
    severities = {
        rule["labels"]["severity"]
        for group in ALERTS["groups"]
        for rule in group["rules"]
        if rule.get("alert") == name
    }
    first = text.strip().split("\n\n")[0]
    assert set(re.findall(r"\*(page|ticket)\.?\*", first)) == severities
    assert "**Users notice**:" in text
    assert "\n**Over** " in text
    block = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[0]
    cluster, up, local = block.partition(_UP)
    assert cluster.startswith(("kubectl ", "matrix "))
    assert up, "there is no command for a platform on one machine"
    assert local.partition("\n")[2].strip()


def test_the_shell_can_read_every_block() -> None:
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_every_command_is_one_of_the_program() -> None:
    found = commands(PAGE)
    assert len(found) > 20
    for words in found:
        parsed(words)


def test_a_command_that_is_none_is_noticed() -> None:
    [words] = commands("`matrix datasets shaw NAME`")
    with pytest.raises(KeyError):
        parsed(words)
    [words] = commands("```sh\nkubectl exec operator -- matrix dead-letters list --waitin\n```")
    with pytest.raises(Exception, match="--waitin"):
        parsed(words)


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert len(links) > 20
    for link in links:
        page, _, anchor = link.partition("#")
        text = (ROOT / "ops" / page).read_text() if page else PAGE
        assert not anchor or anchor in anchors(text), link


def test_values_of_the_chart_that_are_named_exist() -> None:
    values = yaml.safe_load((ROOT / "helm" / "matrix" / "values.yaml").read_text())
    named = re.findall(
        r"`((?:models|services|autoscaling|kafka|networkPolicy|monitoring)\.[\w.*-]+)`", PAGE
    )
    assert len(named) > 8
    for name in named:
        here = [values]
        for part in name.split("."):
            here = [
                value
                for each in here
                if isinstance(each, dict)
                for key, value in each.items()
                if part in ("*", key)
            ]
        assert here, name


def test_what_the_logs_are_searched_for_is_logged() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "services").rglob("*.py"))
    # What kafka-python logs by itself comes through.
    source += KafkaConnectionError.__name__
    searched = re.findall(r'grep (?:-\w+ )?"([^"]+)"', PAGE)
    assert len(searched) > 10
    for pattern in searched:
        for word in pattern.split("|"):
            assert word in source, word
