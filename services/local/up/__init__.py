"""`matrix up`: the whole platform as separate processes on this machine.

From what a user can ask for to what runs:

    settings      what a user can ask for
    directory     one platform per directory; its files
    credentials   secrets, made once, in files that only their owner can read
    children      processes that are kept running, and how they fare
    supervisor    starts, restarts and ends them, as a cluster would
    health        whether a service is ready
    programs      the command line and environment of each process
    foundation    object store and broker, our own or existing ones
    stack         the order in which all of it comes up and goes down
    calls         what is asked of the services: the import, the datasets
    endpoints     where the services listen, for the commands that talk to them
"""
