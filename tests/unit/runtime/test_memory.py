"""What a process does without, so that it stays small."""

import subprocess
import sys

import pytest

PRINTS_MODULES = "; import sys; print(*sorted(sys.modules))"


def printed(code: str) -> str:
    """Return what a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_run_loads_nothing_that_it_does_not_use() -> None:
    loaded = set(printed("import services.cli.run" + PRINTS_MODULES).split())
    unused = {"grpc", "cryptography", "kafka", "minio", "scipy", "pyarrow.compute", "aiohttp.web"}
    assert not loaded & unused


def test_rows_become_columns_without_pandas_and_data_frames_are_still_to_be_had() -> None:
    pytest.importorskip("pandas")
    code = """
import sys
import pyarrow as pa
from services.runtime.arrow import settle_arrow

settle_arrow()
settle_arrow()
column = pa.array(["a", None], pa.string())
print("pandas" in sys.modules, column.to_pylist(), pa.table({"x": column}).to_pandas()["x"][0])
"""
    assert printed(code) == "False ['a', None] a"


def test_arrow_takes_its_memory_from_the_heap_unless_told_otherwise() -> None:
    code = """
import os
if {chosen!r}:
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = {chosen!r}
from services.runtime.allocator import share_heap

share_heap()
import pyarrow as pa

print(pa.default_memory_pool().backend_name)
"""
    assert printed(code.format(chosen="mimalloc")) == "mimalloc"
    assert printed(code.format(chosen="")) == "system"


def test_threads_share_a_heap_where_the_c_library_knows_how() -> None:
    code = """
from threading import Thread
from services.runtime.allocator import share_heap

share_heap()
threads = [Thread(target=bytes, args=(100_000,)) for _ in range(4)]
for thread in threads:
    thread.start()
    thread.join()
print("done")
"""
    assert printed(code) == "done"
