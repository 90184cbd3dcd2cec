"""The number of random examples of a test: a fifth of them in `make test`, all in `make test-long`."""

import os

IN_FULL = bool(os.environ.get("EXAMPLES_IN_FULL"))


def examples(number: int) -> int:
    """Return `number` in `make test-long`, else a fifth of it, but at least ten."""
    return number if IN_FULL else max(10, number // 5)
