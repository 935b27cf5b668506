"""What `kubectl apply -k` would send, for the few things that our kustomizations use."""

import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

Manifest = dict[str, Any]
_KEYS = {"apiVersion", "kind", "resources", "patches"}


def rendered(folder: Path) -> list[Manifest]:
    """Return the manifests of a kustomization: its resources, patched.

    Raises:
        ValueError: it uses what is not read here, or a patch has no target.
    """
    content = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(content) - _KEYS:
        raise ValueError(f"{folder}: {', '.join(sorted(unknown))} is not read here")
    manifests: list[Manifest] = []
    for name in content.get("resources", []):
        path = folder / name
        if path.is_dir():
            manifests += rendered(path)
        else:
            manifests += [each for each in yaml.safe_load_all(path.read_text()) if each]
    for patch in content.get("patches", []):
        manifests = _patched(manifests, patch)
    return manifests


def _patched(manifests: list[Manifest], patch: Manifest) -> list[Manifest]:
    target, body = patch["target"], yaml.safe_load(patch["patch"])
    hits = [each for each in manifests if _meant(each, target)]
    if not hits:
        raise ValueError(f"no manifest is the target of the patch of {target}")
    if isinstance(body, list):
        return [jsonpatch.apply_patch(m, body) if m in hits else m for m in manifests]
    if body.pop("$patch", None) != "delete":
        raise ValueError(f"the patch of {target} is neither a list of operations nor a deletion")
    return [each for each in manifests if each not in hits]


def _meant(manifest: Manifest, target: Manifest) -> bool:
    return bool(
        manifest["kind"] == target["kind"]
        and fnmatch(manifest["metadata"]["name"], target.get("name", "*"))
    )


def rendered_by_kubectl(folder: Path) -> list[Manifest] | None:
    """Return what kustomize itself makes of it; None without kubectl or kustomize."""
    for program, *arguments in (["kubectl", "kustomize"], ["kustomize", "build"]):
        if path := shutil.which(program):
            command = [path, *arguments, str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ValueError(f"{' '.join(command)}: {done.stderr}")
            return list(yaml.safe_load_all(done.stdout))
    return None
