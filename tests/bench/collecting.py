"""A collector of traces in a process of its own, which takes spans and only counts them.

python -m tests.bench.collecting
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.integration.collector import collector


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[str, list[int]]]:
    """Give the endpoint, and a list that has the number of spans once the collector is gone."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.collecting"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    taken: list[int] = []
    try:
        yield (await process.stdout.readline()).decode().strip(), taken
        process.stdin.close()
        taken.append(int(await process.stdout.readline()))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def main() -> None:
    """Take spans until the standard input ends."""
    with collector() as found:
        print(found.endpoint, flush=True)
        sys.stdin.read()
        print(len(found.spans), flush=True)


if __name__ == "__main__":
    main()
