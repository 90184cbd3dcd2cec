"""The web processes' way in: wire routes on the event loop, everything else through Django on threads."""

import gc
from typing import Any

from config import wsgi  # first: it sets Django up

# isort: split
from a2wsgi import WSGIMiddleware

from audience.intake.front import Front
from audience.models import ProcessKind
from config.pulse import Pulse

# Threads of a process for pages, exports and whatever else waits for a query; each may hold a database connection.
PAGE_THREADS = 12

# What has been made so far stays for ever. Looking through it for garbage takes tens of milliseconds, in which all
# requests wait: it is left out, and the rest is looked through after 50,000 new objects (some hundred requests).
gc.freeze()
gc.set_threshold(50_000, 20, 50)

# Three libraries have three types for each of the two protocols.
django: Any = wsgi.application
pages: Any = WSGIMiddleware(django, workers=PAGE_THREADS)

application = Front(pages)
Pulse(ProcessKind.WEB).begin()
