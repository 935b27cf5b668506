"""What the sandbox says of solutions and tests that mean no harm."""

import os
from dataclasses import asdict

import pytest

from services.reward_filtering.sandbox import Isolation, Limits, Sandbox
from services.runtime.errors import Rejected
from tests.integration.sandboxes import LONG, folder, isolation, mark, sandbox, verdict

__all__ = ["folder", "isolation", "mark", "sandbox"]

DOUBLE = "def double(x):\n    return 2 * x\n"


async def test_a_right_solution_passes_every_test(sandbox: Sandbox) -> None:
    tests = (
        "from __future__ import annotations\n"
        "import solution\n"
        "assert double(2) == 4\n"
        "for x in (1, 2):\n    assert double(x) == x + x\n"
        "def test_text() -> None:\n    assert solution.double('a') == 'aa'\n"
        "async def test_later() -> None:\n    assert double(0) == 0\n"
    )
    outcome = await verdict(sandbox, DOUBLE, tests)
    assert (outcome.verdict, outcome.tests_run, outcome.tests_passed) == ("passed", 4, 4), outcome
    assert outcome.passed
    assert outcome.seconds > 0


async def test_each_assertion_counts_and_the_first_failure_is_told(sandbox: Sandbox) -> None:
    tests = "assert double(2) == 4\nassert double(3) == 7, 'odd'\nassert double(4) == 8\n"
    outcome = await verdict(sandbox, DOUBLE, tests)
    assert (outcome.verdict, outcome.tests_run, outcome.tests_passed) == ("failed", 3, 2)
    assert not outcome.passed
    assert "assert double(3) == 7" in outcome.detail
    assert "AssertionError: odd" in outcome.detail


async def test_an_error_of_the_solution_in_a_test_fails_that_test(sandbox: Sandbox) -> None:
    outcome = await verdict(sandbox, DOUBLE, "def test_none():\n    double(None)\nassert double(1)")
    assert (outcome.verdict, outcome.tests_run, outcome.tests_passed) == ("failed", 2, 1)
    assert "TypeError" in outcome.detail


@pytest.mark.parametrize("tests", ["", "x = 1", "def helper():\n    assert True", "'text'"])
async def test_tests_that_check_nothing_are_no_pass(sandbox: Sandbox, tests: str) -> None:
    outcome = await verdict(sandbox, DOUBLE, tests)
    assert (outcome.verdict, outcome.tests_run) == ("error", 0)
    assert "no assertion" in outcome.detail


async def test_a_test_that_is_a_generator_is_no_pass(sandbox: Sandbox) -> None:
    outcome = await verdict(sandbox, DOUBLE, "def test_never():\n    assert False\n    yield\n")
    assert outcome.verdict == "error"
    assert "generator" in outcome.detail


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def broken(:", "SyntaxError"),
        ("x = '\udc80\ud800'\n\udcff", "Error"),
        ("x = 1\0", "null bytes"),
        ("raise ValueError('on loading')", "on loading"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("(" * 5000, "Error"),
    ],
)
async def test_source_that_does_not_load_is_an_error(
    sandbox: Sandbox, source: str, reason: str
) -> None:
    as_solution = await verdict(sandbox, source, "assert True")
    as_tests = await verdict(sandbox, DOUBLE, f"{source}\nassert True")
    assert (as_solution.verdict, as_tests.verdict) == ("error", "error"), (as_solution, as_tests)
    assert reason in as_solution.detail
    assert reason in as_tests.detail


async def test_an_empty_solution_fails_tests_of_what_it_lacks(sandbox: Sandbox) -> None:
    outcome = await verdict(sandbox, "", "assert double(1) == 2")
    assert outcome.verdict == "failed"
    assert "NameError" in outcome.detail


async def test_the_standard_library_and_a_private_folder_are_there(sandbox: Sandbox) -> None:
    solution = (
        "import asyncio, collections, concurrent.futures, datetime, hashlib, json, logging, os\n"
        "import re, shutil, sqlite3, ssl, tempfile, threading, typing, zoneinfo\n"
        "Point = collections.namedtuple('Point', 'x y')\n"
        "def threads():\n"
        "    with concurrent.futures.ThreadPoolExecutor(4) as pool:\n"
        "        return sum(pool.map(abs, range(100)))\n"
        "async def slept():\n    await asyncio.sleep(0)\n    return 7\n"
        "def stored():\n"
        "    with tempfile.TemporaryDirectory() as folder:\n"
        "        path = os.path.join(folder, 'a.txt')\n"
        "        open(path, 'w').write('text')\n"
        "        return open(path).read()\n"
    )
    tests = (
        "assert threads() == 4950\n"
        "assert asyncio.run(slept()) == 7\n"
        "assert stored() == 'text'\n"
        "assert Point(1, 2).y == 2\n"
        "assert sqlite3.connect(':memory:').execute('select 1').fetchone() == (1,)\n"
        "open('here', 'w').write('x')\n"
        "assert os.listdir() == ['here']\n"
    )
    outcome = await verdict(sandbox, solution, tests)
    assert outcome.passed, outcome.detail


async def test_equal_code_walks_its_sets_in_equal_order(sandbox: Sandbox) -> None:
    solution = "print(list({str(number) for number in range(20)}))"
    first = await verdict(sandbox, solution, "assert False")
    second = await verdict(sandbox, solution, "assert False")
    assert first.detail == second.detail
    assert "'19'" in first.detail


async def test_what_is_printed_on_failure_is_clipped(sandbox: Sandbox) -> None:
    outcome = await verdict(sandbox, "print('word ' * 5000)", "assert False")
    assert outcome.verdict == "failed"
    assert "word word" in outcome.detail
    assert len(outcome.detail) <= 2000


@pytest.mark.parametrize(
    "wrong",
    [{"wall_seconds": 0.0}, {"cpu_seconds": -1.0}, {"memory_bytes": 1 << 20}, {"threads": 1}],
)
def test_limits_under_which_nothing_runs_are_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(Rejected, match=next(iter(wrong))):
        Limits(**{**asdict(LONG), **wrong})


async def test_a_sandbox_says_what_keeps_its_code_apart(isolation: Isolation) -> None:
    opened = await Sandbox.open(isolation=isolation)
    assert opened.isolation == isolation
    strongest = await Sandbox.open()
    assert strongest.isolation in {"bubblewrap", "namespaces", "rlimits"}
    assert (await strongest.run_tests("import os", f"assert os.getpid() != {os.getpid()}")).passed


async def test_an_isolation_that_is_not_installed_is_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Rejected, match="bubblewrap: no process can be started: bwrap"):
        await Sandbox.open(isolation="bubblewrap")
