"""Where people look: messages go to stderr, data to stdout."""

from rich.console import Console

console = Console(stderr=True)
output = Console()
