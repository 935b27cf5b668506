"""Tests taken apart: each assertion and each test function is one unit that passes or fails."""

import __future__

import ast
import marshal
from types import CodeType

__all__ = ["FILE_NAME", "Unit", "packed", "units_of"]

FILE_NAME = "tests.py"
Definition = ast.FunctionDef | ast.AsyncFunctionDef
Unit = tuple[str, bool, CodeType]
"""Label, whether it has a copy of the names to itself, code.

A label for what counts as a test, an empty one for what only prepares."""


def _asserts(statement: ast.stmt) -> bool:
    if isinstance(statement, Definition | ast.ClassDef):
        return False
    return any(isinstance(node, ast.Assert) for node in ast.walk(statement))


def _yields(test: Definition) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(test))


def _call(test: Definition) -> ast.stmt:
    called = f"{test.name}()"
    if isinstance(test, ast.AsyncFunctionDef):
        called = f"__import__('asyncio').run({called})"
    statement = ast.parse(called).body[0]
    for node in ast.walk(statement):
        ast.copy_location(node, test)
    return statement


def _future_flags(tree: ast.Module) -> int:
    flags = 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for name in node.names:
                flags |= getattr(__future__, name.name).compiler_flag
    return flags


def units_of(tests: str) -> list[Unit]:
    """Return the units of tests: the statements of the module in order, then `test_*` functions.

    A statement outside of functions and classes counts as a test if it contains an assertion. Of
    functions with one name the last counts, as in Python. Raises SyntaxError (also for a test that
    is a generator, whose body would never run), or what else the compiler raises.
    """
    tree = ast.parse(tests, FILE_NAME)
    flags = _future_flags(tree)
    lines = tests.splitlines()
    found: dict[str, Definition] = {}
    units: list[Unit] = []

    def add(label: str, *statements: ast.stmt) -> None:
        module = ast.Module(list(statements), [])
        code = compile(module, FILE_NAME, "exec", flags, dont_inherit=True)
        units.append((label, len(statements) > 1, code))

    for statement in tree.body:
        # A line as the label: what is longer is told by its first line.
        label = lines[statement.lineno - 1].strip() if lines else ""
        add(label if _asserts(statement) else "", statement)
        if isinstance(statement, Definition) and statement.name.startswith("test_"):
            if _yields(statement):
                raise SyntaxError(f"{statement.name} is a generator: it would run nothing")
            found[statement.name] = statement
    for name, test in found.items():
        # Defined anew: a solution that was called in another test may have replaced it.
        add(name, test, _call(test))
    return units


def packed(units: list[Unit]) -> bytes:
    """Return units for the runner: whether each is a test, has its own names, and its code."""
    return marshal.dumps([(bool(label), apart, code) for label, apart, code in units])
