"""`python -m services.controller`: reconciles until SIGTERM."""

import sys
from functools import partial

import structlog

from services.runtime import event_loop
from services.runtime.errors import MatrixError, Rejected
from services.runtime.grpc_channels import Access
from services.runtime.logs import configure_service_logs
from services.runtime.object_store import table_uri
from services.runtime.settings import Settings, read_settings

_log = structlog.get_logger(__name__)


def main() -> int:
    """Run the controller; return the exit code of the process."""
    try:
        settings = read_settings()
        configure_service_logs("controller", settings.log_format)
        event_loop.run(run(settings))
    except MatrixError as error:
        _log.error("ends", reason=str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def run(settings: Settings) -> None:
    """Reconcile until told to stop.

    Raises:
        Rejected: a setting is missing, or kopf is not installed.
    """
    ours = settings.controller
    if not ours.namespace:
        raise Rejected("MATRIX_CONTROLLER__NAMESPACE is not set: give that of the Dataset objects")
    if not ours.server:
        raise Rejected(
            "MATRIX_CONTROLLER__SERVER is not set: give the address of instruction_generation, "
            "like dns:///matrix-instruction-generation:50051"
        )
    try:
        import kopf

        from services.controller.operator import DatasetController, operator_settings
        from services.controller.orders import Orders
    except ModuleNotFoundError as error:
        raise Rejected(
            f"the controller needs {error.name}: pip install 'matrix-society[controller]'"
        ) from None
    store = settings.object_store
    uri = partial(table_uri, store) if store.url else lambda name: ""
    orders = Orders(ours.server, Access.of(settings.grpc))
    controller = DatasetController(orders, uri, ours.interval_seconds)
    _log.info("reconciles", namespace=ours.namespace, server=ours.server)
    try:
        await kopf.operator(
            registry=controller.registry(),
            settings=operator_settings(),
            namespaces=[ours.namespace],
            standalone=True,
            liveness_endpoint=f"http://{ours.health_host}:{ours.health_port}/healthz",
        )
    finally:
        await orders.close()
    _log.info("left")


if __name__ == "__main__":
    sys.exit(main())
