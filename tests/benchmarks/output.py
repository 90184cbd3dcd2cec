"""The output of the benchmarks."""

import json
import sys
from typing import Any


def say(figure: str, value: float, **more: Any) -> None:
    """Print a figure as one JSON line, at once."""
    sys.stdout.write(json.dumps({"figure": figure, "value": round(value, 3 if value < 10 else 1), **more}) + "\n")
    sys.stdout.flush()
