"""Which connections of pods the NetworkPolicies of a case allow."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """One end of a connection: a pod of the release's namespace, of another one, or an address."""

    labels: Labels | None = None
    """Of the pod; None for an address outside of the cluster."""
    namespace: str = "matrix"


@dataclass(frozen=True)
class Network:
    """The policies of a namespace."""

    policies: Iterable[Mapping[str, Any]]
    ports: Mapping[str, int] = field(default_factory=dict)
    """Numbers of named ports."""

    def isolates(self, labels: Labels, direction: str) -> bool:
        """Return whether a pod is covered: what is not allowed is denied."""
        return any(self._of(labels, direction))

    def allows(self, source: Place, target: Place, port: int, protocol: str = "TCP") -> bool:
        """Return whether a connection is let out and let in."""
        out = self._passes(source, target, port, protocol, "Egress", "to")
        into = self._passes(target, source, port, protocol, "Ingress", "from")
        return out and into

    def _passes(
        self, pod: Place, peer: Place, port: int, protocol: str, direction: str, peers: str
    ) -> bool:
        if pod.labels is None or pod.namespace != "matrix":
            return True  # Not ours to say.
        own = list(self._of(pod.labels, direction))
        rules = [r for policy in own for r in policy["spec"].get(direction.lower()) or []]
        return not own or any(
            (not rule.get(peers) or any(_meant(each, peer) for each in rule[peers]))
            and any(self._port(each, port, protocol) for each in rule.get("ports") or [{}])
            for rule in rules
        )

    def _of(self, labels: Labels, direction: str) -> Iterable[Mapping[str, Any]]:
        for policy in self.policies:
            spec = policy["spec"]
            if direction in spec["policyTypes"] and selects(spec["podSelector"], labels):
                yield policy

    def _port(self, rule: Mapping[str, Any], port: int, protocol: str) -> bool:
        named = rule.get("port", port)
        number = self.ports[named] if isinstance(named, str) else named
        return bool(number == port and rule.get("protocol", "TCP") == protocol)


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Return whether a label selector matches labels."""
    if any(labels.get(k) != v for k, v in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", []):
        if rule["operator"] != "In":
            raise NotImplementedError(rule["operator"])
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return True


def _meant(peer: Mapping[str, Any], place: Place) -> bool:
    if "ipBlock" in peer:
        return place.labels is None
    if place.labels is None:
        return False
    if "namespaceSelector" in peer:
        namespace = {"kubernetes.io/metadata.name": place.namespace}
        if not selects(peer["namespaceSelector"], namespace):
            return False
    elif place.namespace != "matrix":
        return False
    return selects(peer.get("podSelector", {}), place.labels)
