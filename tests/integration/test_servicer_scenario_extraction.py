"""ScenarioExtractionService on real servers: by id, by meaning, and as they come."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc.aio
from matrix.scenario_extraction.v1 import service_pb2 as pb
from matrix.scenario_extraction.v1.service_pb2_grpc import (
    add_ScenarioExtractionServiceServicer_to_server,
)

from services.events import ScenarioExtracted
from services.events.topics import SCENARIOS_EXTRACTED
from services.runtime.answering import Replicas
from services.runtime.streams import Fanout
from services.scenario_extraction.queries import ScenarioIndex, ScenarioSearch
from services.scenario_extraction.servicer import NAME, PERMISSIONS, ScenarioExtractionServicer
from tests.integration.generating import BAKERS, NURSES, scenario
from tests.integration.rpc import (
    Code,
    ask,
    check_permissions,
    listening,
    refusal,
    replicas,
)
from tests.integration.running import Process, open_log, process, publish, work

BREAD = scenario("bread", region="r00", summary=BAKERS)
TABLETS = scenario("tablets", region="r01", summary=NURSES)


class Replica:
    """What a replica of the service is made of, without its server."""

    def __init__(self, parts: Process, name: str) -> None:
        self.parts = parts
        self.scenarios: Fanout[ScenarioExtracted] = Fanout()
        self.index = ScenarioIndex(self.scenarios.publish)
        self.worker = parts.worker(name, self.index.broadcasts())

    def build(self, peers: Replicas) -> ScenarioExtractionServicer:
        search = ScenarioSearch(self.index, self.parts.models)
        return ScenarioExtractionServicer(self.index, search, self.scenarios, peers)

    async def publish(self, *scenarios: ScenarioExtracted) -> None:
        for each in scenarios:
            await publish(self.parts.log, SCENARIOS_EXTRACTED, each.group_id, each)


@asynccontextmanager
async def serving(
    folder: Path, count: int = 1
) -> AsyncIterator[tuple[list[Replica], list[grpc.aio.Channel]]]:
    log = open_log(folder / "log.db")
    async with process(log) as parts:
        all_of_them = [Replica(parts, f"replica {number}") for number in range(count)]
        await all_of_them[0].publish(BREAD, TABLETS)
        add = add_ScenarioExtractionServiceServicer_to_server
        async with replicas(add, NAME, *(replica.build for replica in all_of_them)) as channels:
            yield all_of_them, channels
    await log.close()


def test_every_rpc_has_a_permission() -> None:
    check_permissions(NAME, pb, dict(PERMISSIONS))


async def test_a_scenario_that_one_replica_has_not_read_yet_is_answered_by_another(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, 2) as (both, channels):
        await work(both[0].worker)
        assert len(both[1].index) == 0
        for channel in channels:
            answer = await ask(channel, pb.GetScenarioRequest(scenario_id="tablets"))
            assert answer.scenario.summary == NURSES
            assert len(answer.scenario.agents) == len(TABLETS.agents)
            assert not answer.scenario.embedding
        code, details = await refusal(ask(channels[1], pb.GetScenarioRequest(scenario_id="x")))
    assert code is Code.NOT_FOUND
    assert "'x'" in details


async def test_scenarios_are_found_by_meaning_nearest_first(tmp_path: Path) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        await work(replica.worker)
        request = pb.SearchScenariosRequest(query="a nurse counts tablets in a hospital")
        found = (await ask(channel, request)).scenarios
        assert [each.scenario.scenario_id for each in found] == ["tablets", "bread"]
        assert 1 >= found[0].similarity > found[1].similarity >= -1
        request.limit = 1
        assert list((await ask(channel, request)).scenarios) == [found[0]]
        request.region = "r00"
        assert list((await ask(channel, request)).scenarios) == [found[1]]
        request.region = "nowhere"
        assert not (await ask(channel, request)).scenarios


async def test_a_search_refuses_what_it_cannot_look_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, (channel,)):
        for request in (
            pb.SearchScenariosRequest(query=" "),
            pb.SearchScenariosRequest(query="x" * 2001),
            pb.SearchScenariosRequest(query="bread", limit=101),
            pb.SearchScenariosRequest(query="bread", limit=-1),
        ):
            code, _ = await refusal(ask(channel, request))
            assert code is Code.INVALID_ARGUMENT


async def test_watchers_see_new_scenarios_of_their_region_once(tmp_path: Path) -> None:
    later = replace(TABLETS, scenario_id="later", window=1)
    async with serving(tmp_path) as ((replica,), (channel,)):
        await work(replica.worker)
        watched = await listening(channel, pb.WatchScenariosRequest(region="r01"))
        await replica.publish(TABLETS, replace(BREAD, scenario_id="toast"), later)
        await work(replica.worker)
        seen = await watched.read()
        watched.cancel()
    assert seen.scenario.scenario_id == "later"
    assert seen.scenario.window == 1
