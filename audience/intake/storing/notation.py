"""PostgreSQL's formats for rows: lines of COPY, arrays, and column lists for json_to_recordset."""

from collections.abc import Iterable, Mapping

STRUCTURED = ("jsonb", "text[]")

# Characters with a meaning in COPY's text format.
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def recordset_columns(columns: Mapping[str, str]) -> str:
    """The column definitions for json_to_recordset. JSON and arrays are passed as text, so that JSON `null` is not
    NULL.
    """
    return ", ".join(f"{name} {'text' if kind in STRUCTURED else kind}" for name, kind in columns.items())


def casts(columns: Mapping[str, str]) -> str:
    """The columns of `recordset_columns`, cast to their types."""
    return ", ".join(f"{name}::{kind}" if kind in STRUCTURED else name for name, kind in columns.items())


def line(values: Iterable[str]) -> str:
    """A line of COPY's text format. Most rows have nothing to escape, which is checked for the whole row at once."""
    values = tuple(values)
    joined = "\t".join(values)
    if "\\" in joined or "\n" in joined or "\r" in joined or joined.count("\t") != len(values) - 1:
        joined = "\t".join(value.translate(ESCAPES) for value in values)
    return joined + "\n"


def array(texts: Iterable[str]) -> str:
    """A text[] in PostgreSQL's text format."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"
