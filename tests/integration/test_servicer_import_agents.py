"""ImportAgents on real servers: a society of a stream of profiles, an error for each bad one."""

import asyncio
from pathlib import Path

import grpc.aio
from matrix.agent_state.v1 import service_pb2 as pb

from tests.integration.agent_state_rpc import NOW, OPTIONS, imported, line, person, serving
from tests.integration.rpc import Code, ask, refusal, send


async def test_bad_lines_are_reported_with_their_number_and_the_rest_is_imported(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        report = await send(
            channel,
            OPTIONS,
            person(1),
            pb.ImportAgentsRequest(profile="{no json"),
            person(2),
            person(1),
            line(name="Nobody"),
            pb.ImportAgentsRequest(profile="[1]"),
        )
        await replica.catch_up()
        population = (await ask(channel, pb.GetPopulationRequest())).population
    assert (report.agents, report.refused) == (2, 4)
    assert [error.line for error in report.errors] == [2, 4, 5, 6]
    assert "not JSON" in report.errors[0].reason
    assert "stands in line 1 too" in report.errors[1].reason
    assert "description: is missing" in report.errors[2].reason
    assert "no object" in report.errors[3].reason
    assert (population.agents, population.groups) == (2, report.groups)
    assert dict(population.regions) == dict(report.regions)
    assert population.imported_at == NOW


async def test_errors_are_counted_beyond_those_that_are_reported(tmp_path: Path) -> None:
    bad = [pb.ImportAgentsRequest(profile="x")] * 150
    async with serving(tmp_path) as (_, (channel,)):
        report = await send(channel, OPTIONS, *bad, person(1))
    assert (report.refused, len(report.errors)) == (150, 100)


async def test_an_import_needs_its_options_first_and_one_usable_profile(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, (channel,)):
        for stream, reason in [
            ([person(1)], "got profile first"),
            ([OPTIONS, OPTIONS], "got options after it"),
            ([pb.ImportAgentsRequest()], "got an empty message first"),
            ([OPTIONS], "no usable profile among 0"),
            ([OPTIONS, line(name="Ada")], "no usable profile among 1: line 1: description"),
        ]:
            code, details = await refusal(send(channel, *stream))
            assert code is Code.INVALID_ARGUMENT
            assert reason in details


async def test_the_same_import_is_harmless_and_another_one_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        first = await imported(replica, channel, 6)
        states = replica.groups.items()
        again = await imported(replica, channel, 6)
        assert again == first
        assert replica.groups.items() == states
        code, details = await refusal(send(channel, OPTIONS, person(1)))
    assert code is Code.INVALID_ARGUMENT
    assert "a society of 6 agents is here already" in details


async def test_of_two_imports_at_once_one_is_told_that_the_other_was_first(tmp_path: Path) -> None:
    async with serving(tmp_path) as ((replica,), (channel,)):
        outcomes = await asyncio.gather(
            send(channel, OPTIONS, *map(person, range(3))),
            send(channel, OPTIONS, *map(person, range(4))),
            return_exceptions=True,
        )
        await replica.catch_up()
        population = (await ask(channel, pb.GetPopulationRequest())).population
    refused = [each for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
    made = [each for each in outcomes if not isinstance(each, BaseException)]
    assert [error.code() for error in refused] == [Code.INVALID_ARGUMENT]
    assert [report.agents for report in made] == [population.agents]
