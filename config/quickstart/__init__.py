"""What `make run` and `make test` need on a machine that has only Python: servers, processes, a terminal.

Nothing in this room imports Django: the settings need its result.
"""
