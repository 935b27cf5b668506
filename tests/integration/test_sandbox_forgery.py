"""Solutions that want to be told right without being right."""

import pytest

from services.reward_filtering.sandbox import Sandbox
from tests.integration.sandboxes import folder, isolation, mark, sandbox, verdict

__all__ = ["folder", "isolation", "mark", "sandbox"]

TESTS = "def test_double():\n    assert double(2) == 4\n"
WRONG = "def double(x):\n    return 5\n"

EXITS = [
    "import os; os._exit(0)",
    "import sys; sys.exit(0)",
    "raise SystemExit",
    "import _thread; _thread.interrupt_main()",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
]


@pytest.mark.parametrize("exits", EXITS)
async def test_leaving_early_is_no_pass(sandbox: Sandbox, exits: str) -> None:
    on_loading = await verdict(sandbox, exits, TESTS)
    assert on_loading.verdict in {"error", "killed"}, on_loading
    assert on_loading.tests_passed == 0
    in_a_test = await verdict(sandbox, f"def double(x):\n    {exits}\n", TESTS)
    assert in_a_test.verdict in {"error", "killed", "failed"}, in_a_test
    assert in_a_test.tests_passed == 0


REPLACEMENTS = {
    "exec": "builtins.exec = lambda *_: None",
    "compile": "builtins.compile = lambda *_, **__: 'pass'",
    "AssertionError": "builtins.AssertionError = builtins.BaseException = SystemExit",
    "all": "for n in dir(builtins):\n    if n[0] != '_': setattr(builtins, n, lambda *a, **k: 1)",
    "traceback": "import traceback, os; traceback.format_exception = lambda *a: os._exit(0)",
    "marshal": "import marshal; marshal.loads = lambda *_: []",
    "os.write": "import os; os.write = lambda *_: 0; os._exit = lambda *_: None",
    "hook": "import sys; sys.excepthook = sys.unraisablehook = lambda *a: None",
    "threads": "import _thread; _thread.start_new_thread = lambda *a: None",
    "operator": "import operator; operator.call = lambda *a: None",
}


@pytest.mark.parametrize("replaced", REPLACEMENTS)
async def test_replacing_what_the_runner_calls_is_no_pass(sandbox: Sandbox, replaced: str) -> None:
    solution = f"import builtins\n{WRONG}\n{REPLACEMENTS[replaced]}\n"
    outcome = await verdict(sandbox, solution, TESTS)
    assert outcome.verdict in {"failed", "error"}, outcome
    assert outcome.tests_passed == 0


async def test_tests_see_the_built_ins_as_they_were(sandbox: Sandbox) -> None:
    solution = "import builtins\nbuiltins.abs = builtins.all = builtins.len = lambda *_: True\n"
    outcome = await verdict(sandbox, solution, "assert not all([False])\nassert len('ab') == 2")
    assert outcome.passed, outcome


async def test_replacing_the_runners_names_by_its_frames_is_no_pass(sandbox: Sandbox) -> None:
    solution = (
        "import sys\n"
        "def double(x):\n"
        "    frame = sys._getframe()\n"
        "    while frame:\n"
        "        for name in list(frame.f_globals):\n"
        "            if name.startswith('_') and callable(frame.f_globals[name]):\n"
        "                frame.f_globals[name] = lambda *a: (b'p', b'')\n"
        "        for name in list(frame.f_locals):\n"
        "            try: frame.f_locals[name] = lambda *a: (b'p', b'')\n"
        "            except Exception: pass\n"
        "        frame = frame.f_back\n"
        "    return 5\n"
    )
    outcome = await verdict(
        sandbox, solution, TESTS + "def test_more():\n    assert double(3) == 6"
    )
    assert (outcome.verdict, outcome.tests_passed) == ("failed", 0), outcome


async def test_replacing_another_test_is_no_pass(sandbox: Sandbox) -> None:
    solution = (
        "import sys\n"
        "def double(x):\n"
        "    for names in (sys._getframe(1).f_globals, sys.modules['__main__'].__dict__):\n"
        "        names['test_more'] = lambda: None\n"
        "    return 4\n"
    )
    outcome = await verdict(
        sandbox, solution, TESTS + "def test_more():\n    assert double(3) == 6"
    )
    assert (outcome.verdict, outcome.tests_passed) == ("failed", 1), outcome


async def test_names_that_are_objects_of_the_solutions_are_left_alone(sandbox: Sandbox) -> None:
    solution = (
        "import os\n"
        "class Name(str):\n"
        "    def __getitem__(self, key): os._exit(3)\n"
        "    __hash__ = str.__hash__\n"
        "    def __eq__(self, other): os._exit(3)\n"
        "def double(x): return 4\n"
        "globals()[Name('other')] = 1\n"
    )
    assert (await verdict(sandbox, solution, TESTS)).passed


async def test_printing_a_result_is_no_pass(sandbox: Sandbox) -> None:
    report = '{"verdict": "passed", "tests_run": 1, "tests_passed": 1, "detail": "", "seconds": 1}'
    solution = (
        f"import os, sys\nfor fd in (1, 2): os.write(fd, b'''\\n{report}\\n''')\n"
        f"print('passed'); sys.stderr.write('OK')\n{WRONG}"
    )
    assert (await verdict(sandbox, solution, TESTS)).verdict == "failed"
    assert (await verdict(sandbox, f"{solution}\nos._exit(0)", TESTS)).verdict == "error"


async def test_writing_to_every_open_file_is_no_pass(sandbox: Sandbox) -> None:
    solution = (
        f"import os\n{WRONG}\n"
        "for fd in range(3, 64):\n"
        "    for record in (b'p0000', b'd0000', b'0' * 32 + b'p0000' + b'0' * 32 + b'd0000'):\n"
        "        try: os.write(fd, record)\n"
        "        except OSError: pass\n"
        "os._exit(0)\n"
    )
    outcome = await verdict(sandbox, solution, TESTS)
    assert outcome.verdict == "forged"
    assert outcome.tests_passed == 0


async def test_neither_tests_nor_key_can_be_found_on_loading(sandbox: Sandbox) -> None:
    solution = (
        "import gc, os, sys, threading\n"
        "found = []\n"
        "for fd in range(64):\n"
        "    try:\n"
        "        os.set_blocking(fd, False)\n"
        "        found.append(os.read(fd, 1 << 16))\n"
        "    except OSError: pass\n"
        "    try: os.set_blocking(fd, True)\n"
        "    except OSError: pass\n"
        "frame = sys._getframe()\n"
        "while frame:\n"
        "    found.append([repr(frame.f_locals), [k for k in frame.f_globals]])\n"
        "    frame = frame.f_back\n"
        "seen = repr(found)\n"
    )
    tests = (
        "import re\n"
        "assert 'test_' not in seen.replace('_testcapi', '')\n"
        "assert not re.search('[0-9a-f]{32}', seen)\n"
        "def test_planted(): pass\n"
    )
    outcome = await verdict(sandbox, solution, tests)
    assert outcome.passed, outcome


DOORS = [
    "import gc; gc.get_objects()",
    "import gc; gc.get_referrers(gc)",
    "import gc; gc.get_referents(gc)",
    "import sys; sys._current_frames()",
    "import sys; sys.settrace(print)",
    "import sys; sys.setprofile(print)",
    "import ctypes; ctypes.string_at(id(1))",
    "import _ctypes",
    "import sys; g = sys._getframe().f_back.f_globals; g['_load'].__code__ = (lambda: 1).__code__",
]


@pytest.mark.parametrize("door", DOORS)
async def test_the_doors_to_the_runners_thread_are_shut(sandbox: Sandbox, door: str) -> None:
    outcome = await verdict(sandbox, door, "assert True")
    assert outcome.verdict == "error", outcome
    assert "not allowed in the sandbox" in outcome.detail
