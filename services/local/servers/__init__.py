"""Servers that a bare machine can run from wheels: an S3 store and a Kafka-protocol broker.

For `matrix up` and for the tests; in the cluster their place is taken by real ones.
"""
