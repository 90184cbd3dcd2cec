"""How many random examples a property is tried with: a part of them in `make test`, all in `make test-long`."""

import os

IN_FULL = bool(os.environ.get("EXAMPLES_IN_FULL"))


def examples(number: int) -> int:
    """`number` in full, else a fifth of it, of which ten are the least."""
    return number if IN_FULL else max(10, number // 5)
