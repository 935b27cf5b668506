"""ops/install.md says what the code computes, and names what exists."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from ops import sizing
from services.cli.commands import app_for
from services.local.up.settings import SERVICES
from services.runtime.settings import KafkaSettings
from tests.deploy.kustomizing import rendered

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ops" / "install.md").read_text()
CHART = ROOT / "helm" / "matrix"


def commands() -> list[list[str]]:
    """Return the command lines of `matrix` on the page, one word after the other."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    starts = (re.match(r"(?:kubectl .* -- )?(?=matrix )", line) for line in lines)
    own = [line[start.end() :] for line, start in zip(lines, starts, strict=True) if start]
    return [shlex.split(line, comments=True) for line in own]


def test_the_table_of_sizes_is_what_the_calculation_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sizing.main([])
    printed = capsys.readouterr().out
    assert f"<!-- sizing -->\n{printed}<!-- end of sizing -->" in PAGE


def test_the_calculation_is_told_as_it_is_done() -> None:
    known = sizing.Inputs()
    tokens = known.prompt_tokens + known.completion_tokens
    told = [
        f"{tokens:.0f} tokens a call",
        f"a call has {known.computed_prompt_tokens:.0f} of the prompt that no cache has",
        f"and {known.completion_tokens:.0f} of the answer",
        f"*Samples*: {known.calls_per_sample:g} calls each",
        f"{known.cpu_seconds_per_1000_calls} CPU seconds for 1,000 calls",
        f"{known.bytes_per_resting_agent / 1000} KB for each person at rest",
        f"({known.kept_bytes_per_sample / 1000:g} KB a sample)",
        f"*Store*: {known.store_bytes_per_sample / 1000:g} KB a sample",
    ]
    words = " ".join(PAGE.split())
    assert [part for part in told if part not in words] == []


def test_the_shell_can_read_every_block() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) > 10
    for block in blocks:
        done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_every_command_on_the_page_exists_with_its_options() -> None:
    root: Any = typer.main.get_command(app_for(""))
    found = commands()
    assert len(found) >= 8
    for words in found:
        command, rest = root, words[1:]
        while hasattr(command, "commands"):
            assert rest[0] in command.commands, " ".join(words)
            command, rest = command.commands[rest[0]], rest[1:]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, " ".join(words)


def test_every_file_on_the_page_exists() -> None:
    paths = set(re.findall(r"(?<![\w/.])(?:k8s|ops|services)/[\w./-]*[\w-]", PAGE))
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    assert len(paths) > 8


def test_users_and_addresses_on_the_page_are_those_of_the_manifests() -> None:
    manifests = rendered(ROOT / "k8s" / "overlays" / "kind")
    users = {m["metadata"]["name"] for m in manifests if m["kind"] == "KafkaUser"}
    table = PAGE.partition("| user | may |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(matrix-[a-z-]+)`", table)) == users
    (kafka,) = (m for m in manifests if m["kind"] == "Kafka")
    (listener,) = kafka["spec"]["kafka"]["listeners"]
    meta = kafka["metadata"]
    address = f"{meta['name']}-kafka-bootstrap.{meta['namespace']}.svc:{listener['port']}"
    assert f"bootstrapServers: {address}" in PAGE
    (store,) = (m for m in manifests if m["kind"] == "Service")
    meta = store["metadata"]
    port = store["spec"]["ports"][0]["port"]
    assert f"`http://{meta['name']}.{meta['namespace']}.svc:{port}`" in PAGE
    assert f"partitions: {KafkaSettings().partitions}" in PAGE
    for service in SERVICES:
        assert f"`matrix-{service.replace('_', '-')}`" in table


def test_the_table_of_values_is_that_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    table = PAGE.partition("| value | default |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([\w.-]+)` \| `([^`]*)` \|", table, re.MULTILINE)
    assert len(rows) == len(table.splitlines()) - 2
    for name, default in rows:
        value = values
        for part in name.split("."):
            assert part in value, f"{name} is no value of the chart"
            value = value[part]
        assert value == yaml.safe_load(default), name


def test_the_values_of_the_example_are_of_the_chart_and_name_secrets_that_the_page_makes() -> None:
    (example,) = re.findall(
        r"cat > production.yaml <<END\n(.*?)^END$", PAGE, re.DOTALL | re.MULTILINE
    )
    given = yaml.safe_load(example)
    made = {
        "matrix-store",
        *(f"matrix-kafka-{name.removeprefix('matrix-')}" for name in kafka_users()),
    }
    named = {value for name, value in leaves(given) if name.endswith("existingSecret")}
    assert named <= made
    assert len(named) == len(SERVICES) + 4
    loop = PAGE.partition("for user in ")[2].partition("; do")[0].replace("\\\n", " ").split()
    assert {f"matrix-{name}" for name in loop} == kafka_users()
    known = dict(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
    assert {name for name, _ in leaves(given)} <= set(known)


def kafka_users() -> set[str]:
    manifests = rendered(ROOT / "k8s" / "overlays" / "gpu")
    return {m["metadata"]["name"] for m in manifests if m["kind"] == "KafkaUser"}


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


# The calculation


def test_arithmetic_bounds_what_latency_would_allow() -> None:
    known = sizing.Inputs()
    rate = sizing.calls_per_second_per_gpu(known)
    assert rate == pytest.approx(0.4 * 989e12 / (2 * 8.2e9) / (109 + 120))
    # With a GPU of no such bound, 812 calls of 1.842 seconds each.
    unbounded = replace(known, flops_per_gpu=1e30)
    seconds = 0.030 + 109 * 0.000_25 + 119 * 0.010 * 1.5
    assert sizing.calls_per_second_per_gpu(unbounded) == pytest.approx(812 / seconds)


def test_the_cache_bounds_long_calls_and_the_server_short_ones() -> None:
    known = sizing.Inputs()
    assert sizing.slots_per_gpu(known) == 26_000 // 32
    assert sizing.slots_per_gpu(replace(known, prompt_tokens=40)) == 1024


def test_what_is_needed_grows_with_the_gpus() -> None:
    one, eight, many = (sizing.platform(gpus) for gpus in (1, 8, 64))
    assert many.calls_per_second == pytest.approx(64 * one.calls_per_second)
    assert one.replicas <= eight.replicas < many.replicas
    assert one.brokers >= 3
    for each in (one, eight, many):
        assert each.partitions >= 8 * each.replicas
        assert each.partitions & (each.partitions - 1) == 0
        assert each.people >= 4 * each.active_agents > 4 * each.slots
        assert each.cores <= each.replicas * 5


def test_more_calls_for_a_sample_are_fewer_samples_and_no_fewer_calls() -> None:
    usual = sizing.platform(8)
    dear = sizing.platform(8, replace(sizing.Inputs(), calls_per_sample=66))
    assert dear.calls_per_second == usual.calls_per_second
    assert dear.samples_per_day == pytest.approx(usual.samples_per_day / 2)


def test_without_a_gpu_there_is_nothing_to_size() -> None:
    with pytest.raises(ValueError, match="gpus: expected 1 or more, got 0"):
        sizing.platform(0)


def test_inputs_can_be_given_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    sizing.main(["--gpus", "4", "--calls-per-sample", "60", "--completion-tokens", "250"])
    assert capsys.readouterr().out.startswith("|  | 4 GPUs |\n")
