"""The embedded mode: log, models and all five services in one process; also the test doubles."""
