"""The web processes' way in: wire routes on the event loop, everything else through Django on threads."""

import sys
from typing import Any

from config import wsgi  # first: it sets Django up

# isort: split
from a2wsgi import WSGIMiddleware

from audience.intake.entry import Front

# Threads of a process for pages, exports and whatever else waits for a query; each may hold a database connection.
PAGE_THREADS = 12

# Seconds. The thread that writes takes a dozen short turns a transaction, and with Python's 5 ms it would wait as
# often for the event loop.
sys.setswitchinterval(0.0005)

# Three libraries have three types for each of the two protocols.
django: Any = wsgi.application
pages: Any = WSGIMiddleware(django, workers=PAGE_THREADS)

application = Front(pages)
