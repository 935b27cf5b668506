"""The whole platform: the order in which it comes up, and in which it goes down."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from services.local.servers.process import LOOPBACK, free_ports
from services.local.society import chosen_profiles
from services.local.up.calls import Calls, DatasetLine
from services.local.up.children import Child, State
from services.local.up.credentials import PlatformCredentials, platform_credentials
from services.local.up.directory import Identity, UpDirectory
from services.local.up.endpoints import Endpoints, write_endpoints
from services.local.up.foundation import Foundation
from services.local.up.health import GrpcHealth
from services.local.up.monitoring import PROMETHEUS, model_targets, start_prometheus
from services.local.up.programs import (
    MODEL,
    chat_model,
    model_address,
    model_program,
    service_environment,
    service_program,
)
from services.local.up.settings import SERVICES, UpSettings
from services.local.up.supervisor import Supervisor
from services.runtime.errors import MatrixError, Rejected, Retryable
from services.runtime.grpc_channels import Access
from services.runtime.settings import Settings

_DATASETS_SECONDS = 2.0
_IMPORT_PAUSE_SECONDS = 2.0
_PROBLEMS_TOLD = 10


@dataclass(frozen=True, slots=True)
class _Ports:
    """Where everything of ours listens; of each replica of each service one, and one more."""

    services: Sequence[int]
    model: int
    metrics: Sequence[int]
    prometheus: int


class Stack:
    """A platform on this machine; `run` it once, in the main thread's event loop."""

    def __init__(
        self,
        settings: UpSettings,
        base: Settings,
        tell: Callable[[str], None],
        changed: Callable[[Child], None] = lambda child: None,
    ) -> None:
        """Set up; nothing runs yet.

        Args:
            settings: what the user asked for.
            base: the user's settings of the services, as the environment has them.
            tell: takes a line for each thing that is done.
            changed: told of each change of a process.
        """
        self.supervisor = Supervisor(changed)
        self.datasets: list[DatasetLine] = []
        """As they were a moment ago."""
        self._settings = settings
        self._base = base
        self._tell = tell
        self._directory = UpDirectory(settings.directory)
        self._foundation = Foundation(settings, base, self._directory, self.supervisor, tell)
        self._addresses: dict[str, list[str]] = {}
        self._metrics: dict[str, list[str]] = {}
        self._probes: list[GrpcHealth] = []
        self._children: dict[str, list[Child]] = {}
        self._model: Child | None = None

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Bring everything up and keep it running until cancelled; in the end nothing is left.

        Args:
            ready: called once there is a society that takes orders.

        Raises:
            Rejected: something cannot be as asked for, or a server does not start.
            Retryable: an existing broker or store did not answer.
        """
        settings = self._settings
        with self._directory as directory:
            directory.claim(
                Identity(settings.partitions, settings.kafka or "own", settings.s3 or "own")
            )
            credentials = platform_credentials(directory.credentials)
            calls = Calls(Access(token=credentials.replicas), self._some_address)
            try:
                await self._start(credentials)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.supervisor.keep())
                    group.create_task(self._watch_datasets(calls))
                    await self._settle(calls)
                    ready()
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
            finally:
                # A second Ctrl-C kills the processes; it does not cut this short.
                await calls.close()
                await self._down()

    async def _start(self, credentials: PlatformCredentials) -> None:
        settings, directory = self._settings, self._directory
        name = await chat_model(settings, self._base.models.simulator)
        ports = self._ports()
        if self._needs_model():
            log = directory.log(MODEL)
            self._model = self.supervisor.add(
                model_program(settings, ports.model, directory.logs, log)
            )
        store = await self._foundation.store(credentials.s3)
        kafka = await self._foundation.broker(store)
        models = model_address(settings, ports.model, self._base.models, name)
        self._tell(f"model: {name} at {models.chat.url}")
        shared = service_environment(settings, credentials, kafka, store, models)
        for number, service in enumerate(SERVICES):
            own = slice(number * settings.replicas, (number + 1) * settings.replicas)
            self._start_service(service, ports.services[own], ports.metrics[own], shared)
        prometheus = start_prometheus(
            settings,
            directory,
            self.supervisor,
            self._metrics,
            model_targets(settings, self._base.models, models),
            ports.prometheus,
            self._tell,
        )
        token = credentials.operator_token_file
        services = {name: tuple(addresses) for name, addresses in self._addresses.items()}
        endpoints = Endpoints(
            services,
            token_file=token,
            kafka=kafka.bootstrap_servers,
            metrics={name: tuple(addresses) for name, addresses in self._metrics.items()},
            prometheus=prometheus,
        )
        write_endpoints(directory.endpoints, endpoints)
        self._tell(f"logs: {directory.logs}")

    def _start_service(
        self, service: str, ports: Sequence[int], metrics: Sequence[int], shared: dict[str, str]
    ) -> None:
        addresses = [f"{LOOPBACK}:{port}" for port in ports]
        self._addresses[service] = addresses
        self._metrics[service] = [f"{LOOPBACK}:{port}" for port in metrics]
        self._children[service] = []
        for replica, address in enumerate(addresses):
            probe = GrpcHealth(address)
            self._probes.append(probe)
            log = self._directory.log(f"{service}-{replica}")
            program = service_program(
                service, replica, addresses, shared, probe, log, metrics[replica]
            )
            self._children[service].append(self.supervisor.add(program))

    async def _settle(self, calls: Calls) -> None:
        """Wait for the services, and see to it that there is a society."""
        if self._model is not None:
            await self.supervisor.until_ready(self._model)
        every = [child for children in self._children.values() for child in children]
        await self.supervisor.until_ready(*every, patient=True)
        self._tell(f"services: all {len(every)} are ready")
        while True:
            try:
                await self._import(calls)
                return
            except Retryable as error:
                self._tell(f"society: {error}; tried again in {_IMPORT_PAUSE_SECONDS:g} s")
                await asyncio.sleep(_IMPORT_PAUSE_SECONDS)
            except Rejected as error:
                self._tell(f"society: not imported: {error}")
                return

    async def _import(self, calls: Calls) -> None:
        society = await calls.society()
        known = society is not None
        if society is None:
            settings = self._settings
            profiles, _ = chosen_profiles(settings.profiles, settings.agents)
            self._tell(f"society: importing {len(profiles.profiles)} people")
            society, refused = await calls.import_society(profiles.profiles, settings.seed)
            problems = (*map(str, profiles.problems), *refused)
            for problem in problems[:_PROBLEMS_TOLD]:
                self._tell(f"not imported: {problem}")
            if len(problems) > _PROBLEMS_TOLD:
                self._tell(f"not imported: {len(problems) - _PROBLEMS_TOLD} more")
        found = ", found again" if known else ""
        self._tell(f"society: {society.agents} people in {society.groups} groups{found}")

    async def _watch_datasets(self, calls: Calls) -> None:
        while True:
            # Else they stay what they were a moment ago; the table of processes says why.
            with suppress(MatrixError):
                self.datasets = await calls.datasets()
            await asyncio.sleep(_DATASETS_SECONDS)

    async def _down(self) -> None:
        services = [child.name for children in self._children.values() for child in children]
        if services:
            # What nobody waited for at the start ends along with them.
            await self.supervisor.stop(*services, PROMETHEUS)
        if self._model is not None:
            await self.supervisor.stop(self._model.name)
        await self._foundation.down()
        for probe in self._probes:
            await probe.close()

    def _some_address(self, service: str) -> str:
        """Return the address of a replica that is ready, if there is one."""
        pairs = list(zip(self._children[service], self._addresses[service], strict=True))
        ready = (address for child, address in pairs if child.state is State.ready)
        return next(ready, pairs[0][1])

    def _ports(self) -> "_Ports":
        settings, count = self._settings, self._settings.port_count
        first = settings.ports
        every = range(first, first + count) if first else free_ports(count)
        replicas = len(SERVICES) * settings.replicas
        metrics = every[replicas + 1 : 2 * replicas + 1]
        return _Ports(every[:replicas], every[replicas], metrics, every[-1])

    def _needs_model(self) -> bool:
        return not (self._settings.model_url and self._base.models.embedding.url)
