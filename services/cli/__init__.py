"""The command `matrix`."""

import sys


def main() -> None:
    """Run the command; errors of the platform are told in one message, without a traceback."""
    try:
        # Here, so that Ctrl-C ends the command quietly while it loads, too.
        from rich.markup import escape

        from services.cli.commands import app
        from services.cli.console import console
        from services.runtime.errors import MatrixError
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        app()
    except MatrixError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
