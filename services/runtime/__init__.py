"""What every service stands on: ports, ordering, state, model calls, tables. Knows no service."""
