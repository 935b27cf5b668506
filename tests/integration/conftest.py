"""Fixtures of all integration tests."""

from tests.integration.servers import bucket, seaweedfs, tansu, tansu_memory

__all__ = ["bucket", "seaweedfs", "tansu", "tansu_memory"]
