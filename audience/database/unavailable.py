"""Telling an error of the database's state (it is away, its disk is full, it takes no writes) from one of a row."""

from django.db import DatabaseError, InterfaceError, OperationalError

# SQLSTATE classes: a lost connection, too few resources (53100 is a full disk), an operator's intervention (a
# shutdown), an error outside of PostgreSQL (of its disk).
CLASSES = ("08", "53", "57", "58")
# A standby, or a database set to read only: psycopg calls it an InternalError.
READ_ONLY = "25006"
# The row is too large for an index, say: an OperationalError too, but it comes back for ever.
PROGRAM_LIMIT = "54"


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code of an error that Django raised; '' for none."""
    return str(getattr(error.__cause__, "sqlstate", None) or "")


def is_unavailable(error: BaseException | None) -> bool:
    """Whether the same would succeed later, with nothing changed but the database."""
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, DatabaseError):
        return False
    code = sqlstate(error)
    if isinstance(error, OperationalError):
        return not code.startswith(PROGRAM_LIMIT)
    return code == READ_ONLY or code.startswith(CLASSES)
