"""Values that cannot be are refused before anything is installed, by a message that names them."""

import json
from typing import Any

import pytest
from helm_python import HelmError

from tests.deploy.rendering import CHART, default_values, render

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split("/")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kafak", {}, "'kafak' not allowed"),
        ("kafka/partition", 3, "'partition' not allowed"),
        ("kafka/partitions", "64", "at '/kafka/partitions': got string, want integer"),
        ("kafka/partitions", 0, "at '/kafka/partitions'"),
        ("kafka/password", "secret", "'password' not allowed"),
        ("kafka/bootstrapServers", "kafka", "at '/kafka/bootstrapServers'"),
        ("kafka/securityProtocol", "TLS", "at '/kafka/securityProtocol'"),
        ("kafka/existingSecret", "", "kafka.existingSecret: kafka.securityProtocol SASL_SSL"),
        (
            "kafka",
            {"securityProtocol": "SASL_PLAINTEXT", "clientCertificate": True},
            "kafka.clientCertificate: kafka.securityProtocol SASL_PLAINTEXT shows none",
        ),
        (
            "kafka",
            {"securityProtocol": "SSL", "existingSecret": ""},
            "kafka.existingSecret: kafka.caInSecret and kafka.clientCertificate need",
        ),
        ("objectStore/existingSecret", "", "objectStore.existingSecret: give the name"),
        ("objectStore/url", "/data", "at '/objectStore/url'"),
        ("image/pullSecrets", ["registry"], "at '/image/pullSecrets/0'"),
        ("image/digest", "latest", "at '/image/digest'"),
        ("image/tag", "not a tag", "at '/image/tag'"),
        ("grpc/tls", True, "grpc.existingSecret: "),
        ("grpc/callers", True, "grpc.existingSecret: "),
        ("grpc", {"callers": True, "existingSecret": "tokens"}, "grpc.tls: grpc.callers needs it"),
        (
            "grpc",
            {"tls": True, "existingSecret": "tls"},
            "controller.existingSecret: grpc.tls needs",
        ),
        ("controller/apiServerCIDRs", ["everywhere"], "at '/controller/apiServerCIDRs/0'"),
        ("grpc", {"clientCertificates": True}, "grpc.tls: grpc.clientCertificates needs it"),
        (
            "services/agent-state/resources/limits/memory",
            "2 GB",
            "at '/services/agent-state/resources/limits/memory'",
        ),
        ("services/agent-state/scratch", "much", "at '/services/agent-state/scratch'"),
        ("services/agent-state/minReplicas", 99, "services.agent-state.minReplicas: 99 is more"),
        ("services/agent-state/minReplicas", 0, "at '/services/agent-state/minReplicas'"),
        ("services/agent-state/maxReplicas", 65, "maxReplicas: 65 is more than kafka.partitions"),
        ("services/agent-state/env/LD_PRELOAD", "x.so", "'LD_PRELOAD' not allowed"),
        ("monitoring/scrapeIntervalSeconds", 300, "at '/monitoring/scrapeIntervalSeconds'"),
        ("monitoring/runbookUrl", "https://docs/#", "at '/monitoring/runbookUrl'"),
        ("monitoring/dashboard", True, "'dashboard' not allowed"),
        ("tracing/endpoint", "collector:4317", "at '/tracing/endpoint'"),
        ("tracing/sampleRatio", 2, "at '/tracing/sampleRatio'"),
        ("models/servers/teacher/promptPrice", -1, "at '/models/servers/teacher/promptPrice'"),
        ("services/billing", {}, "'billing' not allowed"),
        ("autoscaling/mode", "vpa", "at '/autoscaling/mode'"),
        ("autoscaling/keda/lagThreshold", 256, "lagThreshold: 256 must be above settings.maxPe"),
        ("models/mode", "ollama", "at '/models/mode'"),
        ("models/mode", "external", "models.external.simulator.url: models.mode external needs it"),
        ("models/family", "gpt", "models.family: there is no gpt in models.families"),
        ("models/kserve/tag", "latest", "at '/models/kserve/tag'"),
        ("models/kserve/runAsUser", 0, "at '/models/kserve/runAsUser'"),
        ("models/servers/teacher/minReplicas", 2, "models.servers.teacher.minReplicas: 2 is more"),
        ("models/servers/teacher/gpuMemoryUtilization", 1.2, "/teacher/gpuMemoryUtilization'"),
        ("models/servers/teacher/uri", "Qwen/Qwen3-8B", "at '/models/servers/teacher/uri'"),
        ("models/servers/teacher/uri", "hf://our/model", "models.servers.teacher.name: give the"),
        ("models/servers/teacher/enabled", False, "models.servers.teacher.enabled: without it"),
        ("models/servers/embedding/enabled", False, "models.servers.embedding.enabled: without"),
        ("models/external/simulator/url", "models:8000", "at '/models/external/simulator/url'"),
        ("networkPolicy/kafka", [{"ports": []}], "at '/networkPolicy/kafka/0'"),
    ],
)
def test_the_message_names_the_value(path: str, value: Any, message: str) -> None:
    with pytest.raises(HelmError) as raised:
        render(nested(path, value))
    assert message in str(raised.value)


def test_a_model_that_sleeps_needs_something_to_wake_it() -> None:
    values = {
        "autoscaling": {"mode": "none"},
        "models": {"servers": {"student": {"minReplicas": 0}}},
    }
    with pytest.raises(HelmError, match=r"models\.servers\.student\.minReplicas: 0 needs"):
        render(values)


def _sections(values: Any, path: str = "") -> list[str]:
    if not isinstance(values, dict):
        return []
    found = [path] if path else []
    for key, value in values.items():
        found += _sections(value, f"{path}/{key}" if path else str(key))
    return found


def unset(schema: dict[str, Any], values: Any, path: str = "") -> list[str]:
    """Return the properties of the schema that have no default among the values."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    found = []
    for name, part in schema.get("properties", {}).items():
        here = f"{path}/{name}"
        if not isinstance(values, dict) or name not in values:
            found.append(here)
        else:
            found += unset(part, values[name], here)
    return found


def test_every_value_that_may_be_set_has_a_default() -> None:
    # Of affinity there is none, and global belongs to charts around this one.
    found = [path for path in unset(SCHEMA, default_values()) if "ffinity/" not in path]
    assert found == ["/global"]


# What holds names of others: any key, as long as it is one.
_OPEN = (
    *("commonLabels", "Selector", "affinity", "licences", "podMonitorLabels", "families"),
    *("monitoring/labels", "dashboardLabels", "dashboardAnnotations"),
)
_MAPS = ("env", "extraEnv", "requests", "limits")


@pytest.mark.parametrize(
    "path",
    [
        p
        for p in _sections(default_values())
        if not p.endswith((*_OPEN, *_MAPS)) and p != "affinity"
    ],
)
def test_no_section_takes_a_key_that_is_none(path: str) -> None:
    with pytest.raises(HelmError, match="'misspelt' not allowed"):
        render(nested(f"{path}/misspelt", 1))
