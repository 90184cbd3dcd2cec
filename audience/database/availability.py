"""Distinguishes errors of the database's state (unavailable, disk full, read-only) from errors of a row."""

from django.db import DatabaseError, InterfaceError, OperationalError

# SQLSTATE classes: a lost connection, too few resources (53100 is a full disk), an operator's intervention (a
# shutdown), an error outside of PostgreSQL (of its disk).
CLASSES = ("08", "53", "57", "58")
# A standby, or a database set to read only: psycopg calls it an InternalError.
READ_ONLY = "25006"
# For example a row too large for an index: an OperationalError that a retry does not cure.
PROGRAM_LIMIT = "54"


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE of an error raised by Django, or ''."""
    return str(getattr(error.__cause__, "sqlstate", None) or "")


def is_unavailable(error: BaseException | None) -> bool:
    """Whether the same operation may succeed later, once the database recovers."""
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, DatabaseError):
        return False
    code = sqlstate(error)
    if isinstance(error, OperationalError):
        return not code.startswith(PROGRAM_LIMIT)
    return code == READ_ONLY or code.startswith(CLASSES)
