"""Output for the person at the terminal."""

import os
import sys

# Readable on dark and on light backgrounds; red is reserved for failures.
PALETTE = (36, 35, 34, 32, 33)


def print_line(text: str) -> None:
    """Write a line to stdout. A closed pipe (`make run | head`) is ignored."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_error(text: str) -> None:
    """Write a line to stderr, since stdout belongs to the output of the command (`demo --json`)."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def paint(text: str, code: int) -> str:
    """Return the text in a color if stdout shows colors: a terminal, and no NO_COLOR (https://no-color.org)."""
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text
