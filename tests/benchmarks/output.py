"""How a benchmark prints a figure."""

import json
import sys
from typing import Any


def say(figure: str, value: float, **more: Any) -> None:
    """One JSON line on stdout, flushed, so that it appears when it is measured."""
    sys.stdout.write(json.dumps({"figure": figure, "value": round(value, 3 if value < 10 else 1), **more}) + "\n")
    sys.stdout.flush()
