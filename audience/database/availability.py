"""Distinguishes errors caused by the state of the database (unavailable, disk full, read-only) from errors of a row."""

from django.db import DatabaseError, InterfaceError, OperationalError

# SQLSTATE classes: connection exception, insufficient resources (53100 is a full disk), operator intervention (a
# shutdown), system error (such as an I/O error).
UNAVAILABLE_CLASSES = ("08", "53", "57", "58")
# A standby, or a read-only database: psycopg raises InternalError.
READ_ONLY = "25006"
# For example a row too large for an index: psycopg raises OperationalError, although a retry fails too.
PROGRAM_LIMIT_CLASS = "54"


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
        return not code.startswith(PROGRAM_LIMIT_CLASS)
    return code == READ_ONLY or code.startswith(UNAVAILABLE_CLASSES)
