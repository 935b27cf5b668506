"""Measurements of performance: `make bench`, or `python -m tests.bench NAME ...`."""
