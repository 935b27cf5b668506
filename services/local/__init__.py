"""What runs on one machine; also the test doubles.

    platform, composition    the embedded mode (`matrix run`): all five services in one process
    log, log_file            its log, in place of the broker
    model, minilm, weights   a small real LLM and an embedding model, served by model_server
    simulator                a simulated model, in place of a real one
    servers                  an S3 store and a Kafka broker, as child processes
    up                       `matrix up`: the services as processes, over servers

Services know nothing of it.
"""
