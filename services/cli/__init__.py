"""The command `matrix`."""

import os
import sys

from services.runtime.allocator import share_heap


def main() -> None:
    """Run the command; errors of the platform are told in one message, without a traceback."""
    # gRPC tells on stderr that connections end, as they do at each drain.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # First: libraries begin threads while they are loaded.
    share_heap()
    try:
        # Here, so that Ctrl-C ends the command quietly while it loads, too.
        from rich.markup import escape

        from services.cli.commands import app_for
        from services.cli.console import console
        from services.runtime.collector import calm_collector
        from services.runtime.errors import MatrixError

        app = app_for(sys.argv[1] if sys.argv[1:] else "")
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        calm_collector()
        app()
    except MatrixError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
