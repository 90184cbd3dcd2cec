"""Logging: one JSON object per line, or readable text (LOG_FORMAT)."""

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
    # Not 4xx answers, which are the client's errors.
    "django.request": {"level": "ERROR"},
    "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
    # Not "received" and "succeeded" for every task.
    "celery.app.trace": {"level": "WARNING"},
    "celery.worker.strategy": {"level": "WARNING"},
    "celery.beat": {"level": "WARNING"},
    "axes": {"level": "WARNING"},
}


def config(*, as_json: bool) -> dict[str, Any]:
    """Configure structlog, and return a logging.dictConfig with the handler that structlog and logging share."""
    # Source file, thread and process of a record are not printed, and collecting them takes a seventh of the time of a
    # call (docs.python.org/3/howto/logging.html#optimization).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    structlog.configure(
        processors=[*PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderers: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        renderers += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # The default prints local variables, some of which are tokens, if `rich` is installed.
        plain = structlog.dev.plain_traceback
        colors = sys.stderr.isatty()
        renderers.append(structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=24, exception_formatter=plain))
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": renderers,
                "foreign_pre_chain": PROCESSORS,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": LOGGERS,
    }
