"""What every service stands on.

    ports, errors, settings    the borders
    ordering, worker           lanes by key, contiguous commits, dead letters
    state, journal, keeping    changelogs and model answers, and how they are restored
    ownership, fencing, lease  who owns which partition, and what an earlier owner's records count
    kafka_*                    the door to the broker
    grpc_*, callers, peers     server, callers and permissions, calls between replicas
    models, model_servers      model calls
    tables, table_*, object_store, buckets    dataset tables and where they are
    backbone, service          one process: its connections, and its life from start to drain

It knows no service.
"""
