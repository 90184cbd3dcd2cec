"""What `make run` and `make test` need on a machine with only Python: servers, processes, a terminal.

Nothing in this package imports Django, since the settings need its result.
"""
