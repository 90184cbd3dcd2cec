"""Log lines: one JSON object a line for machines, readable ones for people (LOG_FORMAT)."""

import logging
import sys
from typing import Any

import structlog

PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.UnicodeDecoder(),
]

LOGGERS: dict[str, Any] = {
    "django": {"handlers": [], "level": "INFO", "propagate": True},
    # A refused request is the caller's business; the views log what is ours.
    "django.request": {"level": "ERROR"},
    "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
    # Celery says "received" and "succeeded" for every wake-up: two lines that tell nothing.
    "celery.app.trace": {"level": "WARNING"},
    "celery.worker.strategy": {"level": "WARNING"},
    "celery.beat": {"level": "WARNING"},
    "axes": {"level": "WARNING"},
}


def config(*, as_json: bool) -> dict[str, Any]:
    """A logging.dictConfig for the whole process; structlog loggers end in the same handler."""
    _collect_less()
    structlog.configure(
        processors=[*PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    ends: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        ends += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # Not the default, which prints every local variable where `rich` is installed: some of them are tokens.
        plain = structlog.dev.plain_traceback
        colors = sys.stderr.isatty()
        ends.append(structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=24, exception_formatter=plain))
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": ends,
                "foreign_pre_chain": PROCESSORS,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": LOGGERS,
    }


def _collect_less() -> None:
    """Have no line find out where in the code, in which thread and process it was written: nobody prints that, and it
    takes a seventh of a line's time (docs.python.org/3/howto/logging.html#optimization)."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
