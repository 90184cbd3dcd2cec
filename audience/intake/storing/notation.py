"""How PostgreSQL is given rows: as lines of COPY, as arrays, and as JSON that is read by column types."""

from collections.abc import Iterable, Mapping

STRUCTURED = ("jsonb", "text[]")

# What COPY would read as something else than itself.
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def recordset_columns(columns: Mapping[str, str]) -> str:
    """The columns as json_to_recordset is to read them: JSON in a string stays one, so that `null` is not NULL."""
    return ", ".join(f"{name} {'text' if kind in STRUCTURED else kind}" for name, kind in columns.items())


def casts(columns: Mapping[str, str]) -> str:
    """The columns of `recordset_columns` as they are stored."""
    return ", ".join(f"{name}::{kind}" if kind in STRUCTURED else name for name, kind in columns.items())


def line(values: Iterable[str]) -> str:
    """A line of COPY's text format. Most rows have nothing to escape, and asking the whole row is the cheaper way."""
    values = tuple(values)
    joined = "\t".join(values)
    if "\\" in joined or "\n" in joined or "\r" in joined or joined.count("\t") != len(values) - 1:
        joined = "\t".join(value.translate(ESCAPES) for value in values)
    return joined + "\n"


def array(texts: Iterable[str]) -> str:
    """A text[] as PostgreSQL writes one."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"
