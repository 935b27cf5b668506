"""Arrow without pandas, where pandas happens to be installed."""

import functools
import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

import pyarrow as pa


class _WithoutPandas(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "pandas":
            raise ModuleNotFoundError("Arrow is to do without it", name=fullname)
        return None


@functools.cache
def settle_arrow() -> None:
    """Let Arrow find, once, that there is no pandas; to be called before lists are made columns.

    With the first list Arrow imports pandas, if it can, in order to ask whether the list is one of
    its series: half a second and 30 MB for nothing. It looks once. Who asks Arrow for a data frame
    later still gets it.
    """
    if "pandas" in sys.modules:
        return
    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([], pa.null())
    finally:
        sys.meta_path.remove(finder)
