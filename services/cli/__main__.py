"""`python -m services.cli`: the same as the command `matrix`."""

from services.cli import main

main()
