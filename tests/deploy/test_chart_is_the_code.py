"""What the chart says of the code is so: settings, topics, groups, ports, commands, metrics."""

import ast
import importlib
import importlib.util
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
import typer
from pydantic import BaseModel

from services.cli.commands import app_for
from services.events import topics as t
from services.local.up.endpoints import find_endpoints
from services.local.up.settings import SERVICES
from services.runtime import grpc_probe, kafka_member
from services.runtime.grpc_health import LIVENESS
from services.runtime.model_load import parse_load
from services.runtime.settings import Settings, read_settings
from tests.deploy.rendering import (
    CASES,
    Manifest,
    containers,
    default_values,
    of_kind,
    pods,
    rendered,
)

RECORDINGS = Path(__file__).parents[1] / "recordings" / "generate-0.32.0"
OF_COMMANDS = {
    "MATRIX_SERVER",
    "MATRIX_TOKEN",
    "MATRIX_CA_FILE",
    "MATRIX_CERT_FILE",
    "MATRIX_KEY_FILE",
}
"""Variables of the commands that speak to a platform (ops/services.md)."""


def settings_of(model: type[BaseModel], prefix: str = "MATRIX_") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            yield from settings_of(kind, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def environment(case: str, container: Manifest) -> dict[str, str]:
    """Return what a container of ours sees; of a secret, which one and which key."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= of_kind(rendered(case), "ConfigMap")[source["configMapRef"]["name"]]["data"]
    for variable in container.get("env", []):
        value = variable.get("value")
        if value is None:
            reference = variable["valueFrom"].get("secretKeyRef")
            value = f"{reference['name']}/{reference['key']}" if reference else "pod-0"
        found[variable["name"]] = value
    return found


def ours(case: str) -> Iterator[tuple[str, Manifest]]:
    """Yield the containers of our image, but the controller's, whose settings are its own."""
    for name, (labels, spec) in pods(case).items():
        if labels["app.kubernetes.io/component"] == "controller":
            continue
        if not name.startswith("InferenceService/"):
            for container in containers(spec):
                yield name, container


def services(case: str) -> Iterator[tuple[str, Manifest]]:
    for name, container in ours(case):
        if name.startswith("StatefulSet/"):
            yield container["name"], container


@pytest.mark.parametrize("case", CASES)
def test_every_variable_is_a_setting(case: str) -> None:
    known = set(settings_of(Settings))
    assert "MATRIX_MODELS__HELD_OUT__API_KEY" in known
    for name, container in ours(case):
        variables = set(environment(case, container))
        if name.startswith("Pod/"):
            variables -= OF_COMMANDS
        # The library of the object store looks there for authorities (ops/services.md).
        assert variables - known - {"SSL_CERT_FILE"} == set(), name


@pytest.mark.parametrize("case", CASES)
def test_every_service_can_read_its_settings(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, container in services(case):
        with monkeypatch.context() as patched:
            for variable, value in environment(case, container).items():
                patched.setenv(variable, value)
            settings = read_settings()
        assert settings.grpc.port == 50051
        assert settings.grpc.host == "0.0.0.0"
        assert settings.grpc.peers == f"dns:///matrix-{name}.matrix.svc:50051"
        assert settings.models.simulator.url
        assert settings.metrics.host == settings.grpc.host
        assert settings.kafka.partitions == (6 if case.startswith("kind") else 64)
        # Only who writes the datasets knows the store.
        store = settings.object_store
        writes = name == "reward-filtering"
        assert bool(store.access_key.get_secret_value()) == bool(store.url) == writes


def read(case: str, service: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    container = dict(services(case))[service]
    with monkeypatch.context() as patched:
        for variable, value in environment(case, container).items():
            patched.setenv(variable, value)
        return read_settings()


def test_models_are_found_where_they_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    models = read("multi-gpu", "agent-state", monkeypatch).models
    # Where there may be several pods, all of them are seen.
    assert models.simulator.url == "http://matrix-teacher-pods.matrix.svc:8080"
    assert models.teacher == models.simulator
    assert models.simulator.name == "Qwen/Qwen3-8B"
    assert models.embedding.url == "http://matrix-embedding-predictor.matrix.svc"
    models = read("everything", "reward-filtering", monkeypatch).models
    assert models.held_out.url == "https://models.example.com:8443/judge"
    assert models.held_out.api_key.get_secret_value() == "judge/api-key"
    assert models.reward.api_key.get_secret_value() == "model-key/api-key"
    assert models.embedding.name == "our-embedding"
    models = read("external", "agent-state", monkeypatch).models
    assert models.of("student") == models.simulator
    assert models.embedding.url == "https://models.example.com/embedding"
    models = read("kind", "agent-state", monkeypatch).models
    assert models.simulator.url == "http://matrix-simulated-model.matrix.svc:8000"
    assert models.of("embedding") == models.simulator


@pytest.mark.parametrize("case", CASES)
def test_models_in_the_cluster_have_a_service(case: str) -> None:
    there = {f"{name}.matrix.svc" for name in of_kind(rendered(case), "Service")}
    # KServe makes these.
    there |= {f"{n}-predictor.matrix.svc" for n in of_kind(rendered(case), "InferenceService")}
    for _, container in services(case):
        for variable, value in environment(case, container).items():
            host = urlsplit(value).hostname or ""
            if variable.endswith("__URL") and host.endswith(".svc"):
                assert host in there, variable


def test_options_become_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read("everything", "agent-state", monkeypatch)
    assert settings.kafka.instance_id == "pod-0"
    assert settings.kafka.sasl_username == "matrix-agent-state"
    assert settings.kafka.sasl_password.get_secret_value() == "matrix-agent-state/password"
    assert settings.grpc.token.get_secret_value() == "tls/token"
    assert settings.models.slots == 32
    assert settings.communication == "random"
    assert settings.models.simulator.prompt_price == settings.models.teacher.prompt_price == 0.1
    assert settings.models.teacher.completion_price == 0.4
    assert settings.models.held_out.prompt_price == 2
    assert settings.models.held_out.completion_price == settings.models.student.prompt_price == 0
    other = read("everything", "message-modulation", monkeypatch)
    assert other.kafka.sasl_username == "matrix-services"
    assert other.models.slots is None
    plain = read("defaults", "agent-state", monkeypatch)
    assert plain.kafka.instance_id == ""
    assert plain.kafka.sasl_username == "matrix-kafka-services/username"


@pytest.mark.parametrize("case", CASES)
def test_files_that_settings_name_are_mounted(case: str) -> None:
    for name, container in ours(case):
        spec = pods(case)[name][1]
        volumes = {v["name"]: v["secret"]["items"] for v in spec["volumes"] if "secret" in v}
        files = {
            f"{mount['mountPath']}/{item['path']}"
            for mount in container["volumeMounts"]
            for item in volumes.get(mount["name"], [])
        }
        named = {
            value
            for variable, value in environment(case, container).items()
            if variable.endswith("_FILE")
        }
        assert named <= files, name


def memberships(service: str) -> set[tuple[str, str]]:
    """Return topic and group of each membership that a service's composition root makes."""
    module = importlib.import_module(f"services.{service}.__main__")
    found = set()
    for call in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "backbone.ownership":
            group, topic = (eval(ast.unparse(arg), vars(module)) for arg in call.args)
            found.add((topic, group))
    return found


def test_lag_is_looked_at_where_the_services_are_members() -> None:
    values = default_values()["services"]
    assert [name.replace("-", "_") for name in values] == list(SERVICES)
    for name, service in values.items():
        looked_at = {(lag["topic"], lag["group"]) for lag in service["lag"]}
        assert looked_at == memberships(name.replace("-", "_")), name


@pytest.mark.parametrize("case", CASES)
def test_topics_and_offsets_are_those_of_the_consumers(case: str) -> None:
    inputs = {pair for service in SERVICES for pair in memberships(service)}
    [begins] = re.findall(r'auto_offset_reset="(\w+)"', inspect.getsource(kafka_member))
    names = {topic.name for topic in t.TOPICS}
    for scaled in of_kind(rendered(case), "ScaledObject").values():
        for trigger in scaled["spec"]["triggers"]:
            if trigger["type"] == "kafka":
                known = trigger["metadata"]
                assert known["topic"] in names
                assert (known["topic"], known["consumerGroup"]) in inputs
                assert known["offsetResetPolicy"] == begins


@pytest.mark.parametrize("case", CASES)
def test_ports_agree(case: str) -> None:
    targets = of_kind(rendered(case), "Service")
    for name, container in services(case):
        assert container["ports"] == [
            {"name": "grpc", "containerPort": 50051},
            {"name": "metrics", "containerPort": 9464},
        ]
        assert environment(case, container)["MATRIX_GRPC__PORT"] == "50051"
        assert environment(case, container)["MATRIX_METRICS__PORT"] == "9464"
        service = targets[f"matrix-{name}"]["spec"]
        assert service["clusterIP"] == "None"
        assert service["ports"][0]["port"] == 50051
        assert service["ports"][0]["targetPort"] == "grpc"
        workload = of_kind(rendered(case), "StatefulSet")[f"matrix-{name}"]["spec"]
        assert workload["serviceName"] == f"matrix-{name}"
        assert service["selector"] == workload["selector"]["matchLabels"]
    for runtime in of_kind(rendered(case), "ServingRuntime").values():
        [container] = runtime["spec"]["containers"]
        assert "--port=8080" in container["args"]
        assert [port["containerPort"] for port in container["ports"]] == [8080]
        monitor = of_kind(rendered(case), "PodMonitor")["matrix-models"]
        assert [each["portNumber"] for each in monitor["spec"]["podMetricsEndpoints"]] == [8080]
        for name, service in targets.items():
            if name.endswith("-pods"):
                assert [port["targetPort"] for port in service["spec"]["ports"]] == [8080]


@pytest.mark.parametrize("case", CASES)
def test_probes_ask_for_healths_that_are_served(case: str) -> None:
    for name, container in services(case):
        for probe, health in (
            ("startupProbe", LIVENESS),
            ("livenessProbe", LIVENESS),
            ("readinessProbe", ""),
        ):
            how = container[probe]
            if case == "everything":
                module = [*how["exec"]["command"], ""]
                assert module[:3] == ["python", "-m", grpc_probe.__name__]
                assert module[3:5] == [f"matrix-{name}.matrix.svc", health]
            else:
                assert how["grpc"].get("service", "") == health
                assert how["grpc"]["port"] == 50051


@pytest.mark.parametrize("case", CASES)
def test_a_pod_is_not_killed_while_it_drains(case: str) -> None:
    for name, container in services(case):
        grace = float(environment(case, container)["MATRIX_GRPC__GRACE_SECONDS"])
        spec = pods(case)[f"StatefulSet/matrix-{name}"][1]
        assert spec["terminationGracePeriodSeconds"] >= grace + 5


def parsed(line: str) -> Any:
    """Parse a line as the command would, without doing it; raises what it would complain of."""
    program, *arguments = shlex.split(line)
    assert program == "matrix"
    command: Any = typer.main.get_command(app_for(arguments[0]))
    while commands := getattr(command, "commands", None):
        name, arguments = arguments[0], arguments[1:]
        command = commands[name]
    return command.make_context(name, arguments)


@pytest.mark.parametrize("case", CASES)
def test_commands_are_there(case: str, tmp_path: Path) -> None:
    for name, container in ours(case):
        words: list[str] = [*container["command"], *container.get("args", [])]
        program, arguments = words[0], words[1:]
        if program == "python":
            assert arguments[0] == "-m"
            assert importlib.util.find_spec(f"{arguments[1]}.__main__"), name
        elif program == "matrix":
            parsed(shlex.join([program, *arguments]))
        else:
            script = re.sub(r'"\$\w+"', "name", arguments[-1]).replace("/tmp/", f"{tmp_path}/")
            lines = re.findall(r"matrix (?:agents|datasets) [^\n)']+", script)
            assert len(lines) >= 6
            for line in lines:
                parsed(line)


def test_a_command_that_is_none_is_noticed() -> None:
    with pytest.raises(KeyError):
        parsed("matrix topics make")
    with pytest.raises(Exception, match="--count"):
        parsed("matrix datasets create name --count 1")


def test_the_test_finds_all_services_and_people() -> None:
    [script] = [c for name, c in ours("defaults") if name.startswith("Pod/")]
    variables = environment("defaults", script)
    endpoints = find_endpoints(variables["MATRIX_SERVER"])
    for service in SERVICES:
        address = f"dns:///matrix-{service.replace('_', '-')}.matrix.svc:50051"
        assert endpoints.addresses(service) == (address,)
    [code] = re.findall(r"python -c '([^']+)'", script["args"][0])
    found: list[str] = []
    exec(code, {"print": found.append})
    people = (Path(found[0]) / "profiles.jsonl").read_text().splitlines()
    assert len(people) >= 60


def test_loads_are_metrics_of_the_model_server() -> None:
    recorded = (RECORDINGS / "metrics_loaded.prom").read_text()
    queries = [
        trigger["metadata"]["query"]
        for scaled in of_kind(rendered("multi-gpu"), "ScaledObject").values()
        for trigger in scaled["spec"]["triggers"]
        if trigger["type"] == "prometheus"
    ]
    assert len(queries) == 3
    for query in queries:
        metrics = re.findall(r"vllm:\w+", query)
        assert metrics == ["vllm:num_requests_running", "vllm:num_requests_waiting"]
        for metric in metrics:
            assert re.search(rf"^{metric}{{", recorded, re.MULTILINE)
    # The same that the services open their gates by.
    load = parse_load(recorded.encode())
    assert load is not None
    assert load.running + load.waiting == 12


def test_the_schema_knows_the_words_of_the_settings() -> None:
    fields = Settings.model_fields["kafka"].annotation
    assert inspect.isclass(fields)
    assert issubclass(fields, BaseModel)
    schema = (Path(__file__).parents[2] / "helm/matrix/values.schema.json").read_text()
    for name in ("security_protocol", "sasl_mechanism"):
        for word in get_args(fields.model_fields[name].annotation):
            assert f'"{word}"' in schema
