"""Runs a solution and then its tests in this process, and reports what happened under a key.

The solution may do in this process what it likes. What it cannot easily do is report:

- The key is a local of the main thread. The solution runs in other threads, whose frames do not
  lead there, and opening the doors that Python has (`sys._current_frames`, the collector's lists,
  tracing, ctypes) is refused by an audit hook, which cannot be removed.
- The main thread looks up no name that a solution could have replaced: all that it calls once the
  solution has been loaded is in its locals, and it handles exact `bytes` only.
- A unit's outcome goes from `outcome_of` to the main thread through iterators in C: no frame holds
  the list that it is appended to. Outcomes are constants of the code.
- Tests come when the solution has been loaded, and see the built-ins as they were before.

Audit hooks are no security boundary (PEP 578): crafted byte code, a bug of the interpreter, or a
finalizer that the collector runs in the main thread can get at the key. And a solution is free to
fool the tests themselves: by objects that are equal to everything, by replacing functions of the
standard library that tests call, by reading expected values from its caller's frame.
"""

import _thread
import builtins
import gc
import itertools
import linecache
import marshal
import operator
import os
import sys
import traceback
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

__all__ = ["DETAIL_BYTES", "KEY_BYTES", "run"]

KEY_BYTES = 32
DETAIL_BYTES = 2000
THREAD_STACK_BYTES = 8 << 20
SOLUTION = "solution.py"

Outcome = tuple[bytes, bytes]


def _refuse_introspection(
    event: str, arguments: tuple[Any, ...], ours: str = __file__, code: str = "__code__"
) -> None:
    """Audit hook: refuse what leads to other threads' frames, to native code, or into our own."""
    if (
        event
        in {
            "gc.get_objects",
            "gc.get_referrers",
            "gc.get_referents",
            "sys._current_frames",
            "sys._current_exceptions",
            "sys.settrace",
            "sys.setprofile",
            "sys.monitoring.register_callback",
        }
        or event.startswith("ctypes.")
        or (event == "import" and arguments[0] in {"ctypes", "_ctypes", "_testcapi"})
        or (
            event == "object.__setattr__"
            and arguments[1] == code
            and arguments[0].__code__.co_filename == ours
        )
    ):
        raise PermissionError(f"not allowed in the sandbox: {event}")


def _described(error: BaseException) -> bytes:
    """Return the end of an error's report, without the runner's own frames."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace))
    return text.encode(errors="backslashreplace")[-DETAIL_BYTES:]


def _load(source: str, namespace: dict[str, Any]) -> None:
    exec(compile(source, SOLUTION, "exec", dont_inherit=True), namespace)


def _outcome_function(
    run: Callable[..., object],
    described: Callable[[BaseException], bytes],
    current: Callable[[], tuple[Any, ...]] = sys.exc_info,
    out_of_memory: type = MemoryError,
) -> Callable[..., Outcome]:
    """Return a function that calls `run` and tells how that went: passed, failed, or memory."""

    def outcome_of(code: CodeType | str, namespace: dict[str, Any]) -> Outcome:
        # Bare, without names to look up: a solution may have replaced any of them. Where nothing
        # can be allocated any more, constants still can be returned.
        try:
            run(code, namespace)
        except:  # noqa: E722
            if current()[0] is out_of_memory:
                return b"m", b""
            try:
                return b"f", described(current()[1])
            except:  # noqa: E722
                return b"f", b""
        return b"p", b""

    return outcome_of


def _read_exactly(source: int, size: int, read: Callable[[int, int], bytes]) -> bytes:
    parts = b""
    while size > 0:
        part = read(source, size)
        if part == b"":
            return b""
        parts += part
        size -= part.__len__()
    return parts


def run(solution: str, key: bytes, tasks: int, results: int) -> None:
    """Run a solution, tell `results`, read units from `tasks`, run them, tell of each.

    Never returns. A record is the key, a letter (p passed, f failed, m out of memory, d all done),
    four hexadecimal digits, and a detail of as many bytes. The first is the solution's own.
    """
    module, tests = ModuleType("solution"), ModuleType("__main__")
    vars(module)["__file__"] = SOLUTION
    lines = solution.splitlines(keepends=True)
    linecache.cache[SOLUTION] = (len(solution), None, lines, SOLUTION)
    vars(tests).update(__builtins__=dict(vars(builtins)), __file__="tests.py")
    sys.modules["solution"], sys.modules["__main__"] = module, tests
    # Everything below is a local, see above.
    start, lock, chain, apply = (
        _thread.start_new_thread,
        _thread.allocate_lock,
        itertools.chain,
        map,
    )
    write, read, leave, call, exact, size = os.write, os.read, os._exit, operator.call, type, len
    collect, keep, loads, make, execute = (
        gc.enable,
        gc.disable,
        marshal.loads,
        _outcome_function,
        exec,
    )
    read_exactly, described, as_bytes, integer = _read_exactly, _described, bytes, int
    text, copied, load = str, dict, _load
    solution_names, test_names = vars(module), vars(tests)
    _thread.stack_size(THREAD_STACK_BYTES)
    sys.addaudithook(_refuse_introspection)
    kept: list[dict[str, Any]] = []

    def outcome(function: Callable[..., object], code: object, names: dict[str, Any]) -> Outcome:
        ended = lock()
        ended.acquire()
        said: list[Any] = []
        one = make(function, described)
        steps = chain(apply(one, (code,), (names,)), apply(call, (ended.release,)))
        collect()
        start(said.extend, (steps,))
        ended.acquire()
        # Finalizers of the solution's objects shall not run in this thread, below its frames.
        keep()
        letter, detail = said[0]
        return letter, detail if exact(detail) is as_bytes else b""

    def tell(letter: bytes, detail: bytes) -> None:
        write(results, key + letter + b"%04x" % size(detail) + detail)

    try:
        loaded = outcome(load, solution, solution_names)
        if loaded[0] == b"p":
            # No look-up: a key may be an object of the solution's, with a comparison of its own.
            for name, value in [*solution_names.items()]:
                if exact(name) is text and name[:2] != "__":
                    test_names[name] = value
        tell(*loaded)
        if loaded[0] != b"p":
            leave(0)
        header = read_exactly(tasks, 8, read)
        for counts, apart, code in loads(read_exactly(tasks, integer(header, 16), read)):
            # What a test leaves is kept: dropped here, its finalizers would run in this thread.
            names = copied(test_names) if apart else test_names
            kept.append(names)
            told = outcome(execute, code, names)
            tell(*told)
            if told[0] != b"p" and not counts:
                break
        else:
            tell(b"d", b"")
        leave(0)
    except:  # noqa: E722
        # An interrupt that the solution asked for, say. Nobody else may handle it: what others
        # call may have been replaced, and would run in this thread.
        leave(1)
