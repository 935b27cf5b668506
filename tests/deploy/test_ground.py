"""What the platform stands on in a cluster: valid manifests, which are what the code needs."""

import ast
import functools
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s import generate
from services.events import topics as t
from services.events.topics import TOPICS
from services.local.up.settings import SERVICES
from services.runtime.settings import KafkaSettings
from tests.deploy.kubernetes_schemas import Schemas
from tests.deploy.kustomizing import Manifest, rendered, rendered_by_kubectl
from tests.deploy.validate import VERSIONS, custom_schemas, problems_of, unknown_kinds

ROOT = Path(__file__).parents[2]
OVERLAYS = ("base", "base/store", "operator", "overlays/gpu", "overlays/kind")


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Any]:
    return {m["metadata"]["name"]: m for m in manifests if m["kind"] == kind}


def overlay(name: str) -> list[Manifest]:
    return rendered(ROOT / "k8s" / name)


def test_topics_and_users_are_what_the_code_needs() -> None:
    assert generate.differing() == []


def test_the_check_names_what_drifted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    path = tmp_path / "topics.yaml"
    path.write_text(path.read_text().replace("partitions: 64", "partitions: 32", 1))
    assert generate.main(["--check"]) == 1
    assert "topics.yaml is not what the code needs" in capsys.readouterr().out


def test_an_unlisted_topic_of_a_service_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    less = {**generate.PUBLISHED, "scenario_extraction": ()}
    monkeypatch.setattr(generate, "PUBLISHED", less)
    # It still reads them, as all replicas do: so its rights are fewer, and the files differ.
    assert generate.differing()
    more = {**generate.PUBLISHED, "scenario_extraction": (t.SCENARIOS_EXTRACTED, t.AGENTS)}
    monkeypatch.setattr(generate, "PUBLISHED", more)
    with pytest.raises(ValueError, match=r"scenario_extraction: .* matrix\.agents\.v1"):
        generate.rights("scenario_extraction")


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_services_code_publishes_is_what_its_user_may_write(service: str) -> None:
    published = {topic.name for topic in generate.PUBLISHED[service]}
    # Of an import's model answers there is a journal, which asks for the topic by name.
    journals = {t.MODEL_ANSWERS.name}
    found = {
        getattr(t, call.args[0].id).name
        for path in (ROOT / "services" / service).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).endswith("to_record")
        and isinstance(call.args[0], ast.Name)
    }
    assert found
    assert found == published - journals


def test_every_topic_is_declared_with_its_policy() -> None:
    declared = of_kind(overlay("overlays/gpu"), "KafkaTopic")
    assert set(declared) == {topic.name for topic in TOPICS}
    for topic in TOPICS:
        spec = declared[topic.name]["spec"]
        assert spec["partitions"] == KafkaSettings().partitions
        assert (spec["config"].get("cleanup.policy") == "compact") is topic.compacted
        assert (spec["config"].get("retention.ms") == "-1") is topic.kept


def test_every_group_and_topic_of_a_user_exists() -> None:
    names = {topic.name for topic in TOPICS}
    groups = {*SERVICES, "dataset-writer"}
    users = of_kind(overlay("overlays/gpu"), "KafkaUser")
    assert len(users) == len(SERVICES) + 3
    for user in users.values():
        for acl in user["spec"]["authorization"]["acls"]:
            resource = acl["resource"]
            if resource["patternType"] == "prefix":
                assert any(name.startswith(resource["name"]) for name in names)
            else:
                assert resource["name"] in (names if resource["type"] == "topic" else groups)


def test_a_service_writes_no_changelog_of_another() -> None:
    owners: dict[str, list[str]] = {}
    for service in SERVICES:
        for topic in generate.rights(service).writes:
            owners.setdefault(topic, []).append(service)
    single = [t.AGENTS, t.GROUPS, t.WINDOWS, t.CANDIDATES, t.DATASETS, t.SAMPLES_JUDGED]
    assert [owners[topic.name] for topic in single] == [
        ["agent_state"],
        ["message_modulation"],
        ["scenario_extraction"],
        ["instruction_generation"],
        ["instruction_generation"],
        ["reward_filtering"],
    ]


def test_the_table_of_topics_in_the_handbook_says_who_writes_what() -> None:
    text = (ROOT / "ops" / "services.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in text.partition("| topic | key |")[2].partition("\n\n")[0].splitlines()[2:]
    ]
    written = {row[0].split(",")[0]: row[2] for row in rows}
    compared = 0
    for topic in TOPICS:
        name = topic.name.removeprefix("matrix.").removesuffix(".v1")
        if name not in written or written[name].startswith("all"):
            continue
        if "in this order" in written[name] or name == "agents":
            continue
        writers = {s for s in SERVICES if topic.name in generate.rights(s).writes}
        assert writers == {s for s in SERVICES if s in written[name]}, name
        compared += 1
    assert compared == 8


@pytest.mark.parametrize("name", OVERLAYS)
def test_kustomize_renders_the_same(name: str) -> None:
    theirs = rendered_by_kubectl(ROOT / "k8s" / name)
    if theirs is None:
        pytest.skip("neither kubectl nor kustomize is here")

    def place(manifest: Manifest) -> tuple[str, str, str]:
        meta = manifest["metadata"]
        return manifest["kind"], meta.get("namespace", ""), meta["name"]

    assert sorted(overlay(name), key=place) == sorted(theirs, key=place)


@functools.cache
def schemas(version: str) -> Schemas:
    return Schemas(version, custom_schemas())


def problems(manifests: list[Manifest], version: str) -> list[str]:
    """Validate strictly; without the schemas of custom kinds, all but those."""
    missing = unknown_kinds(manifests, schemas(version))
    if missing and not custom_schemas():
        warnings.warn(f"not validated, for want of schemas: {', '.join(missing)}", stacklevel=2)
    return problems_of(manifests, schemas(version), ignore_unknown=not custom_schemas())


@pytest.mark.filterwarnings("default:not validated:UserWarning")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OVERLAYS)
def test_manifests_are_valid(name: str, version: str) -> None:
    assert problems(overlay(name), version) == []


@pytest.mark.filterwarnings("default:not validated:UserWarning")
def test_a_field_that_does_not_exist_is_noticed() -> None:
    manifests = overlay("overlays/kind")
    of_kind(manifests, "StatefulSet")["seaweedfs"]["spec"]["replica"] = 1
    expected = ["replica"]
    if custom_schemas():
        # Of v1beta2, which Strimzi 1.x does not serve.
        of_kind(manifests, "Kafka")["matrix"]["spec"]["kafka"]["storage"] = {"type": "ephemeral"}
        expected.append("storage")
    told = "\n".join(problems(manifests, "1.33"))
    assert [word for word in expected if f"'{word}' was unexpected" not in told] == []


def test_the_gpu_overlay_survives_the_loss_of_a_broker() -> None:
    manifests = overlay("overlays/gpu")
    pools = of_kind(manifests, "KafkaNodePool")
    config = of_kind(manifests, "Kafka")["matrix"]["spec"]["kafka"]["config"]
    assert {name: pool["spec"]["replicas"] for name, pool in pools.items()} == {
        "controller": 3,
        "broker": 3,
    }
    copies = {topic["spec"]["replicas"] for topic in of_kind(manifests, "KafkaTopic").values()}
    assert copies == {3}
    assert config["min.insync.replicas"] == 2


def test_the_kind_overlay_needs_one_broker_only() -> None:
    manifests = overlay("overlays/kind")
    pools = of_kind(manifests, "KafkaNodePool")
    assert [pool["spec"]["roles"] for pool in pools.values()] == [["controller", "broker"]]
    config = of_kind(manifests, "Kafka")["matrix"]["spec"]["kafka"]["config"]
    factors = {key: value for key, value in config.items() if "factor" in key or "isr" in key}
    assert set(factors.values()) == {1}
    topics = of_kind(manifests, "KafkaTopic").values()
    assert len({topic["spec"]["partitions"] for topic in topics}) == 1
    assert {topic["spec"]["replicas"] for topic in topics} == {1}


def test_the_broker_takes_the_largest_record_of_a_service() -> None:
    manifests = overlay("base")
    config = of_kind(manifests, "Kafka")["matrix"]["spec"]["kafka"]["config"]
    topics = of_kind(manifests, "KafkaTopic").values()
    (largest,) = {int(topic["spec"]["config"]["max.message.bytes"]) for topic in topics}
    # Of a batch with one record: key, headers and the batch's own header count as well.
    assert largest > KafkaSettings().max_message_bytes + 1024
    assert config["message.max.bytes"] == largest
    assert config["replica.fetch.max.bytes"] >= largest


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_namespace_is_declared_and_restricted(name: str) -> None:
    manifests = overlay(name)
    declared = of_kind([*manifests, *overlay("base")], "Namespace")
    used = {m["metadata"]["namespace"] for m in manifests if m["kind"] != "Namespace"}
    assert used <= set(declared)
    for namespace in declared.values():
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize(("name", "kind"), [("base/store", "StatefulSet"), ("operator", "Pod")])
def test_our_own_pods_are_restricted(name: str, kind: str) -> None:
    (owner,) = of_kind(overlay(name), kind).values()
    pod = owner["spec"] if kind == "Pod" else owner["spec"]["template"]["spec"]
    context = pod["securityContext"]
    assert context["runAsNonRoot"]
    assert context["runAsUser"] == 65532
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    for container in pod["containers"]:
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"]
        assert not own["allowPrivilegeEscalation"]
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


def test_the_operator_comes_with_settings_of_the_code_and_its_own_user() -> None:
    manifests = overlay("operator")
    pod = of_kind(manifests, "Pod")["operator"]
    (container,) = pod["spec"]["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    prefix = "MATRIX_KAFKA__"
    fields = {name.removeprefix(prefix).lower() for name in environment}
    assert fields <= set(KafkaSettings.model_fields)
    assert "matrix-operator" in of_kind(overlay("overlays/gpu"), "KafkaUser")
    for name in ("username", "password"):
        secret = environment[f"{prefix}SASL_{name.upper()}"]["valueFrom"]["secretKeyRef"]
        assert secret == {"name": "matrix-kafka-operator", "key": name}
    policy = of_kind(manifests, "NetworkPolicy")["operator"]["spec"]
    chosen = policy["podSelector"]["matchLabels"].items()
    assert chosen <= pod["metadata"]["labels"].items()
    _, _, port = environment[f"{prefix}BOOTSTRAP_SERVERS"]["value"].rpartition(":")
    (listener,) = of_kind(overlay("base"), "Kafka")["matrix"]["spec"]["kafka"]["listeners"]
    assert listener["port"] == int(port)
    assert {"protocol": "TCP", "port": int(port)} in [
        each for rule in policy["egress"] for each in rule["ports"]
    ]


def test_the_keys_of_the_store_come_from_a_secret() -> None:
    manifests = overlay("base/store")
    (container,) = of_kind(manifests, "StatefulSet")["seaweedfs"]["spec"]["template"]["spec"][
        "containers"
    ]
    secret = {
        entry["name"]: entry["valueFrom"]["secretKeyRef"]
        for entry in container["env"]
        if "valueFrom" in entry
    }
    assert secret == {
        "AWS_ACCESS_KEY_ID": {"name": "seaweedfs", "key": "access-key"},
        "AWS_SECRET_ACCESS_KEY": {"name": "seaweedfs", "key": "secret-key"},
    }
    assert not of_kind(manifests, "Secret")


def test_only_the_platform_and_the_autoscaler_reach_kafka_and_the_store() -> None:
    manifests = overlay("overlays/kind")
    (listener,) = of_kind(manifests, "Kafka")["matrix"]["spec"]["kafka"]["listeners"]
    peers = [
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for peer in listener["networkPolicyPeers"]
    ]
    assert (listener["tls"], peers) == (True, ["matrix", "keda"])
    policy = of_kind(manifests, "NetworkPolicy")["seaweedfs"]["spec"]
    assert policy["podSelector"] == {}
    (rule,) = policy["ingress"]
    assert rule["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "matrix"}}}
    ]
    assert rule["ports"] == [{"protocol": "TCP", "port": "s3"}]


def test_the_charts_values_for_kind_know_how_many_partitions_there_are() -> None:
    values = ROOT / "helm" / "matrix" / "values-kind.yaml"
    topics = of_kind(overlay("overlays/kind"), "KafkaTopic").values()
    (partitions,) = {topic["spec"]["partitions"] for topic in topics}
    assert yaml.safe_load(values.read_text())["kafka"]["partitions"] == partitions
