"""What happens at each change of a `Dataset` object, and every few seconds while it is filled."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import kopf

from services.controller import standing
from services.controller.orders import Orders
from services.controller.rates import Rates
from services.controller.specification import deletion_policy, ordered, wants_pause
from services.runtime.errors import MatrixError, NotFound, Rejected, Retryable

GROUP, VERSION, PLURAL = "matrix.dev", "v1alpha1", "datasets"
FINALIZER = f"{GROUP}/deletion-policy"
_SLOWEST_SECONDS = 60.0
"""Between two attempts at a platform that does not answer."""

Changed = Callable[[Mapping[str, Any]], standing.Status]


class DatasetController:
    """Keeps the orders of a platform as the objects of a namespace say."""

    def __init__(
        self,
        orders: Orders,
        snapshot_uri: Callable[[str], str],
        interval_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Set up.

        Args:
            orders: of the platform.
            snapshot_uri: returns where the table of a dataset is; "" when that is not known.
            interval_seconds: how often an accepted order is asked for.
            clock: seconds since the epoch, for conditions.
        """
        self._orders = orders
        self._snapshot_uri = snapshot_uri
        self._interval = interval_seconds
        self._clock = clock
        self._rates = Rates()

    def registry(self) -> kopf.OperatorRegistry:
        """Return the handlers, for `kopf.operator`."""
        registry = kopf.OperatorRegistry()
        where = (GROUP, VERSION, PLURAL)
        kopf.on.login(registry=registry)(_login)
        for on in (kopf.on.create, kopf.on.update, kopf.on.resume):
            on(*where, registry=registry, id="reconcile")(self.reconcile)
        kopf.on.delete(*where, registry=registry, id="release")(self.release)
        kopf.timer(
            *where,
            registry=registry,
            id="progress",
            interval=self._interval,
            initial_delay=self._interval,
        )(self.progress)
        return registry

    async def reconcile(
        self,
        name: str,
        uid: str,
        spec: kopf.Spec,
        body: kopf.Body,
        patch: kopf.Patch,
        retry: int,
        **_: Any,
    ) -> None:
        """Order what the object says, and note what became of it.

        Raises:
            kopf.TemporaryError: the platform does not answer.
        """
        generation, known = _generation(body), standing.truth(body.status, "Accepted")
        try:
            dataset = await self._orders.place(ordered(name, spec), wants_pause(spec))
        except (Rejected, NotFound) as error:
            self._note(patch, self._refused("Rejected", error, generation))
            kopf.warn(body, reason="Rejected", message=str(error))
        except Retryable as error:
            self._note(patch, self._unreached(error, generation))
            if retry == 0:
                kopf.warn(body, reason="Unavailable", message=str(error))
            delay = min(_SLOWEST_SECONDS, self._interval * 2 ** min(retry, 10))
            raise kopf.TemporaryError(str(error), delay=delay) from error
        else:
            self._note(patch, self._progressed(name, uid, dataset, generation))
            if known != "True":
                kopf.info(body, reason="Ordered", message=f"Dataset {name!r} is ordered")

    async def progress(
        self,
        name: str,
        uid: str,
        spec: kopf.Spec,
        body: kopf.Body,
        patch: kopf.Patch,
        **_: Any,
    ) -> None:
        """Note how far an accepted order is, and set right whether it is paused.

        An object that nothing was decided on is ordered: what a handler noted is lost when the API
        server refuses to write it (409), and kopf does not run the handler again.
        """
        generation, complete = _generation(body), standing.truth(body.status, "Complete")
        accepted = standing.truth(body.status, "Accepted")
        if accepted == "False" and body.status.get("observedGeneration") == generation:
            return
        try:
            if accepted == "True":
                found = await self._orders.find(name)
                dataset = await self._orders.settle(found, wants_pause(spec))
            else:
                dataset = await self._orders.place(ordered(name, spec), wants_pause(spec))
        except (Rejected, NotFound) as error:
            reason = "Ended" if accepted == "True" else "Rejected"
            self._note(patch, self._refused(reason, error, generation))
            kopf.warn(body, reason=reason, message=str(error))
        except Retryable as error:
            self._note(patch, self._unreached(error, generation))
        else:
            changed = self._progressed(name, uid, dataset, generation)
            self._note(patch, changed)
            after = standing.truth(changed(body.status), "Complete")
            if complete != "True" and after == "True":
                message = f"All {dataset.status.size} samples are accepted"
                kopf.info(body, reason="Filled", message=message)

    async def release(
        self, name: str, uid: str, spec: kopf.Spec, body: kopf.Body, retry: int, **_: Any
    ) -> None:
        """Do with the order of an object that is deleted as its policy says.

        Another's order of that name is left alone, and `Retain` asks the platform nothing.

        Raises:
            kopf.TemporaryError: the platform does not answer.
        """
        self._rates.forget(uid)
        try:
            policy, request = deletion_policy(spec), ordered(name, spec)
            if policy == "Retain" or not await self._orders.is_placed(request):
                return
            await (self._orders.end(name) if policy == "Cancel" else self._orders.pause(name))
        except Rejected:
            return  # Nothing was ever ordered by a spec that cannot be read.
        except Retryable as error:
            if retry == 0:
                advice = "the object stays until it answers, or spec.deletionPolicy is Retain"
                kopf.warn(body, reason="Unavailable", message=f"{error}; {advice}")
            delay = min(_SLOWEST_SECONDS, self._interval * 2 ** min(retry, 10))
            raise kopf.TemporaryError(str(error), delay=delay) from error

    def _progressed(self, name: str, uid: str, dataset: Any, generation: int) -> Changed:
        rate = self._rates.observe(uid, dataset.status.accepted, asyncio.get_running_loop().time())
        return partial(
            standing.progressed,
            dataset=dataset,
            generation=generation,
            now=self._clock(),
            rate=rate,
            snapshot_uri=self._snapshot_uri(name),
        )

    def _refused(self, reason: str, error: MatrixError, generation: int) -> Changed:
        return partial(
            standing.refused,
            reason=reason,
            message=str(error),
            generation=generation,
            now=self._clock(),
        )

    def _unreached(self, error: MatrixError, generation: int) -> Changed:
        return partial(
            standing.unreached, message=str(error), generation=generation, now=self._clock()
        )

    def _note(self, patch: kopf.Patch, changed: Changed) -> None:
        # One that could not be written yet is superseded.
        patch.fns[:] = [each for each in patch.fns if not isinstance(each, _Note)]
        patch.fns.append(_Note(changed))


@dataclass(frozen=True, slots=True)
class _Note:
    """A change of the newest status.

    kopf writes it with a test of the resource version, and does it again after a conflict, so that
    it overwrites nothing that it has not seen.
    """

    changed: Changed

    def __call__(self, body: Any) -> None:
        body["status"] = self.changed(body.get("status", {}))


def operator_settings() -> kopf.OperatorSettings:
    """Return how kopf is to run: all that it keeps is in annotations, under our own name."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(
        prefix=f"controller.{GROUP}"
    )
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(
        prefix=f"controller.{GROUP}"
    )
    # CRDs and namespaces are of the cluster, and the role is of a namespace.
    settings.scanning.disabled = True
    settings.posting.reporting_component = "matrix-controller"
    settings.posting.event_name_prefix = "matrix-controller-"
    settings.execution.default_backoff = _SLOWEST_SECONDS
    return settings


def _login(**arguments: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)


def _generation(body: kopf.Body) -> int:
    return int(body.metadata.get("generation", 0))
