"""A double of the Kubernetes API server: what clients see of one, over HTTP, without a cluster.

Lists and watches with resource versions and bookmarks, create, replace, merge patch, JSON patch and
delete, the status subresource, generations, finalizers, conflicts, and versions that have expired.
With the schema of a CRD it prunes and validates as a server does (CEL rules apart); with the rules
of a Role it forbids everything else. It notes each call as RBAC sees it.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jsonpatch
import jsonschema
from aiohttp import web

from tests.integration.kubernetes_schemas import defaulted, pruned

Object = dict[str, Any]
Call = tuple[str, str, str]
"""Verb, API group, and resource with its subresource: as in a rule of a Role."""


@dataclass(frozen=True)
class Resource:
    """A resource that the server has."""

    group: str
    version: str
    plural: str
    kind: str
    status: bool = False
    schema: Mapping[str, Any] | None = None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
        }


@dataclass
class Watch:
    """One open watch."""

    resource: Resource
    namespace: str
    events: asyncio.Queue[Object | None] = field(default_factory=asyncio.Queue)


class KubernetesDouble:
    """The server; `url` is there once it serves."""

    def __init__(self, *resources: Resource) -> None:
        core = (
            Resource("", "v1", "events", "Event"),
            Resource("", "v1", "namespaces", "Namespace"),
        )
        self._resources = [*core, *resources]
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._history: list[tuple[int, Resource, Object]] = []
        self._version = 100
        self._oldest = 0
        self._watches: list[Watch] = []
        self._faults: list[tuple[str, str, int, str]] = []
        self._holding = ""
        self._released = asyncio.Event()
        self._changed = asyncio.Condition()
        self.url = ""
        self.held = 0
        """Writes that wait for `release`."""
        self.calls: list[Call] = []
        self.refusals: list[tuple[Call, int]] = []
        self.rules: Sequence[Mapping[str, Any]] | None = None
        """Of the caller's Role; None: it may do everything."""

    # What a test does, as `kubectl` would.

    def create(self, resource: Resource, manifest: Mapping[str, Any], namespace: str) -> Object:
        """Create an object, and return it as the server has it."""
        made = deepcopy(dict(manifest))
        metadata = made.setdefault("metadata", {})
        if "name" not in metadata:
            metadata["name"] = metadata.pop("generateName") + uuid.uuid4().hex[:5]
        key = (resource.plural, namespace, metadata["name"])
        if key in self._objects:
            raise Refused(409, "AlreadyExists", f"{key} already exists")
        if resource.status:
            made.pop("status", None)
        metadata |= {
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "creationTimestamp": _now(),
        }
        made |= {"apiVersion": resource.api_version, "kind": resource.kind}
        return self._store("ADDED", resource, key, self._valid(resource, made))

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Return an object."""
        try:
            return deepcopy(self._objects[resource.plural, namespace, name])
        except KeyError:
            raise Refused(404, "NotFound", f"{resource.plural} {name!r} not found") from None

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""
        return deepcopy(self._objects.get((resource.plural, namespace, name)))

    def all(self, resource: Resource, namespace: str) -> list[Object]:
        """Return the objects of a namespace."""
        return [
            deepcopy(each)
            for (plural, where, _), each in sorted(self._objects.items())
            if plural == resource.plural and where == namespace
        ]

    def change(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        subresource: str = "",
    ) -> Object:
        """Change an object as a write to it, or to its status, would."""
        old = self.get(resource, namespace, name)
        new = change(deepcopy(old))
        version = new.get("metadata", {}).get("resourceVersion")
        if version is not None and version != old["metadata"]["resourceVersion"]:
            message = f"{name!r}: the object has been modified; please apply your changes to it"
            raise Refused(409, "Conflict", message)
        if subresource == "status":
            new = {**old, "status": new.get("status", {})}
        elif resource.status:
            new = {**new, "status": old["status"]} if "status" in old else _without(new, "status")
        for fixed in ("uid", "creationTimestamp", "generation", "deletionTimestamp"):
            _keep(new["metadata"], old["metadata"], fixed)
        if old["metadata"].get("deletionTimestamp") and set(_finalizers(new)) - set(
            _finalizers(old)
        ):
            raise Refused(422, "Invalid", "no new finalizers can be added if it is being deleted")
        new = self._valid(resource, new)
        if new == old:
            return old
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] += 1
        key = (resource.plural, namespace, name)
        if new["metadata"].get("deletionTimestamp") and not _finalizers(new):
            return self._remove(resource, key, new)
        return self._store("MODIFIED", resource, key, new)

    def apply(self, resource: Resource, namespace: str, name: str, patch: Object) -> Object:
        """Merge a patch into an object."""
        return self.change(resource, namespace, name, lambda old: merged(old, patch))

    def delete(self, resource: Resource, namespace: str, name: str) -> Object:
        """Delete an object, or begin to, if it has finalizers."""
        old = self.get(resource, namespace, name)
        key = (resource.plural, namespace, name)
        if not _finalizers(old):
            return self._remove(resource, key, old)
        if not old["metadata"].get("deletionTimestamp"):
            old["metadata"] |= {
                "deletionTimestamp": _now(),
                "deletionGracePeriodSeconds": 0,
                "generation": old["metadata"]["generation"] + 1,
            }
            return self._store("MODIFIED", resource, key, old)
        return old

    # What goes wrong.

    def fail(self, verb: str, resource: str, code: int, reason: str) -> None:
        """Let the next such call fail."""
        self._faults.append((verb, resource, code, reason))

    def hold(self, resource: str) -> None:
        """Let writes to a resource wait for `release`; those whose client goes are not done."""
        self._holding = resource

    def release(self) -> None:
        """Let writes go on."""
        self._holding = ""
        self._released.set()

    def expire(self) -> None:
        """Forget all history: whoever watches, or comes back with an old version, gets 410 Gone."""
        self._version += 1
        self._oldest = self._version
        self._history.clear()
        for watch in self._watches:
            watch.events.put_nowait(_expired(0))

    def break_watches(self) -> None:
        """End the open watches, as a server does after some minutes."""
        for watch in self._watches:
            watch.events.put_nowait(None)

    def bookmark(self) -> None:
        """Tell all who watch how far they are."""
        for watch in self._watches:
            metadata = {"resourceVersion": str(self._version)}
            kind = {"apiVersion": watch.resource.api_version, "kind": watch.resource.kind}
            told = {"type": "BOOKMARK", "object": {**kind, "metadata": metadata}}
            watch.events.put_nowait(told)

    @property
    def watching(self) -> int:
        """Open watches."""
        return len(self._watches)

    async def until(self, condition: Callable[[], Any], seconds: float = 30.0) -> None:
        """Wait for a change after which something is true."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    # Storage.

    def _valid(self, resource: Resource, made: Object) -> Object:
        if resource.schema is None:
            return made
        kept: Object = defaulted(pruned(made, resource.schema), resource.schema)
        # OpenAPI 3.0 has the exclusive bounds of draft 4.
        problem = jsonschema.exceptions.best_match(
            jsonschema.Draft4Validator(resource.schema).iter_errors(kept)
        )
        if problem is not None:
            raise Refused(422, "Invalid", f"{problem.json_path}: {problem.message}")
        return kept

    def _store(
        self, kind: str, resource: Resource, key: tuple[str, str, str], new: Object
    ) -> Object:
        self._version += 1
        new["metadata"]["resourceVersion"] = str(self._version)
        self._objects[key] = new
        return self._tell(kind, resource, new)

    def _remove(self, resource: Resource, key: tuple[str, str, str], last: Object) -> Object:
        self._version += 1
        del self._objects[key]
        last["metadata"]["resourceVersion"] = str(self._version)
        return self._tell("DELETED", resource, last)

    def _tell(self, kind: str, resource: Resource, new: Object) -> Object:
        event = {"type": kind, "object": deepcopy(new)}
        self._history.append((self._version, resource, event))
        for watch in self._watches:
            if watch.resource == resource and watch.namespace in ("", _namespace(new)):
                watch.events.put_nowait(event)
        self._news = asyncio.get_running_loop().create_task(self._notify())
        return deepcopy(new)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # HTTP.

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/version", _version)
        app.router.add_get("/api", self._legacy)
        app.router.add_get("/apis", self._groups)
        app.router.add_get("/api/{version}", self._described)
        app.router.add_get("/apis/{group}/{version}", self._described)
        for base in ("/api/{version}", "/apis/{group}/{version}"):
            app.router.add_route("*", base + "/{plural}", self._serve)
            scope = base + "/namespaces/{namespace}/{plural}"
            for path in (scope, scope + "/{name}", scope + "/{name}/{subresource}"):
                app.router.add_route("*", path, self._serve)
        return app

    async def _legacy(self, _: web.Request) -> web.Response:
        return web.json_response({"kind": "APIVersions", "versions": ["v1"]})

    async def _groups(self, _: web.Request) -> web.Response:
        groups = []
        for name, version in sorted({(r.group, r.version) for r in self._resources if r.group}):
            served = {"groupVersion": f"{name}/{version}", "version": version}
            groups.append({"name": name, "versions": [served], "preferredVersion": served})
        return web.json_response({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})

    async def _described(self, request: web.Request) -> web.Response:
        group, version = request.match_info.get("group", ""), request.match_info["version"]
        verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
        resources = []
        for each in self._resources:
            if (each.group, each.version) != (group, version):
                continue
            scoped = each.plural != "namespaces"
            told = {"kind": each.kind, "namespaced": scoped, "singularName": each.kind.lower()}
            resources.append({"name": each.plural, "verbs": verbs, **told})
            if each.status:
                resources.append({"name": f"{each.plural}/status", "verbs": verbs[:1], **told})
        return web.json_response({"kind": "APIResourceList", "resources": resources})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        found = request.match_info
        verb = _verb(request)
        path = "/".join(filter(None, (found["plural"], found.get("subresource", ""))))
        call = (verb, found.get("group", ""), path)
        try:
            resource = self._resource(found)
            self._admit(call)
            if verb == "watch":
                return await self._watch(request, resource)
            body = await request.json() if request.can_read_body else {}
            if path == self._holding and request.method != "GET":
                await self._wait_for_release(request)
            answer, code = self._answer(verb, request, resource, body)
            return web.json_response(answer, status=code)
        except Refused as refusal:
            self.refusals.append((call, refusal.code))
            return web.json_response(refusal.status, status=refusal.code)

    async def _wait_for_release(self, request: web.Request) -> None:
        self.held += 1
        await self._notify()
        await self._released.wait()
        if request.transport is None or request.transport.is_closing():
            raise Refused(499, "ClientClosedRequest", "nobody waits for the answer")

    def _resource(self, found: Mapping[str, str]) -> Resource:
        wanted = (found.get("group", ""), found["version"], found["plural"])
        for each in self._resources:
            if (each.group, each.version, each.plural) == wanted:
                return each
        raise Refused(404, "NotFound", "the server could not find the requested resource")

    def _admit(self, call: Call) -> None:
        self.calls.append(call)
        if self.rules is not None and not any(_allows(rule, call) for rule in self.rules):
            raise Refused(403, "Forbidden", f"cannot {call[0]} {call[2]} in API group {call[1]!r}")
        for fault in self._faults:
            verb, resource, code, reason = fault
            if (verb, resource) == (call[0], call[2]):
                self._faults.remove(fault)
                raise Refused(code, reason, "as the test wants it")

    def _answer(
        self, verb: str, request: web.Request, resource: Resource, body: Any
    ) -> tuple[Object, int]:
        found = request.match_info
        namespace, name = found.get("namespace", ""), found.get("name", "")
        subresource = found.get("subresource", "")
        match verb:
            case "list":
                items = [
                    deepcopy(each)
                    for (plural, where, _), each in sorted(self._objects.items())
                    if plural == resource.plural and namespace in ("", where)
                ]
                kind = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
                metadata = {"resourceVersion": str(self._version)}
                return {**kind, "metadata": metadata, "items": items}, 200
            case "get":
                return self.get(resource, namespace, name), 200
            case "create":
                return self.create(resource, body, namespace), 201
            case "delete":
                return self.delete(resource, namespace, name), 200
            case "update":
                return self.change(resource, namespace, name, lambda _: body, subresource), 200
            case _:
                change = _patch(request.content_type, body)
                return self.change(resource, namespace, name, change, subresource), 200

    async def _watch(self, request: web.Request, resource: Resource) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        watch = Watch(resource, request.match_info.get("namespace", ""))
        since = int(request.query.get("resourceVersion") or self._version)
        if since < self._oldest:
            watch.events.put_nowait(_expired(since))
        for version, of, past in self._history:
            in_scope = watch.namespace in ("", _namespace(past["object"]))
            if version > since and of == resource and in_scope:
                watch.events.put_nowait(past)
        self._watches.append(watch)
        await response.prepare(request)
        await self._notify()
        try:
            while (event := await watch.events.get()) is not None:
                await response.write(json.dumps(event).encode() + b"\n")
                if event["type"] == "ERROR":
                    break
        except ConnectionResetError:
            pass  # Its client has gone.
        finally:
            self._watches.remove(watch)
        return response


@asynccontextmanager
async def kubernetes(*resources: Resource) -> AsyncIterator[KubernetesDouble]:
    """Serve a double on this machine."""
    double = KubernetesDouble(*resources)
    runner = web.AppRunner(double.application(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    double.url = f"http://{host}:{port}"
    try:
        yield double
    finally:
        double.break_watches()
        await runner.cleanup()


def kubeconfig(url: str, namespace: str) -> str:
    """Return the text of a kubeconfig for a server."""
    cluster = {"name": "double", "cluster": {"server": url}}
    user = {"name": "tester", "user": {"token": "of-no-worth"}}
    context = {"cluster": "double", "user": "tester", "namespace": namespace}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [user],
            "contexts": [{"name": "double", "context": context}],
            "current-context": "double",
        }
    )


def merged(old: Any, patch: Any) -> Any:
    """Return an object with a merge patch (RFC 7386) applied."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merged(new.get(key), value)
    return new


def _patch(content_type: str, body: Any) -> Callable[[Object], Object]:
    if content_type == "application/merge-patch+json":
        return lambda old: merged(old, body)
    if content_type != "application/json-patch+json":
        raise Refused(415, "UnsupportedMediaType", f"no patches of {content_type} here")

    def change(old: Object) -> Object:
        try:
            patched: Object = jsonpatch.apply_patch(old, body)
            return patched
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
            raise Refused(422, "Invalid", f"the server rejected our request: {error}") from None

    return change


def _verb(request: web.Request) -> str:
    named = "name" in request.match_info
    match request.method:
        case "GET" if not named:
            return "watch" if request.query.get("watch") in ("true", "1") else "list"
        case "GET":
            return "get"
        case "POST":
            return "create"
        case "PUT":
            return "update"
        case "PATCH":
            return "patch"
        case "DELETE":
            return "delete" if named else "deletecollection"
    raise Refused(405, "MethodNotAllowed", request.method)


def _allows(rule: Mapping[str, Any], call: Call) -> bool:
    verb, group, resource = call
    return verb in rule["verbs"] and group in rule["apiGroups"] and resource in rule["resources"]


def _expired(since: int) -> Object:
    refusal = Refused(410, "Expired", f"too old resource version: {since}")
    return {"type": "ERROR", "object": refusal.status}


def _namespace(made: Object) -> str:
    return str(made["metadata"].get("namespace", ""))


def _finalizers(made: Object) -> list[str]:
    return list(made["metadata"].get("finalizers") or ())


def _without(made: Object, key: str) -> Object:
    return {each: value for each, value in made.items() if each != key}


def _keep(new: Object, old: Object, key: str) -> None:
    if key in old:
        new[key] = old[key]
    else:
        new.pop(key, None)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _version(_: web.Request) -> web.Response:
    return web.json_response({"major": "1", "minor": "33", "gitVersion": "v1.33.0"})
