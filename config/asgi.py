"""The ASGI application of the web processes: wire routes on the event loop, other requests in Django on threads."""

import gc

from config import wsgi  # first: it sets Django up

# isort: split
from audience.intake.asgi import IngestApp
from audience.intake.links.lookup import load_links
from audience.intake.requests.prefetch import prefetch
from audience.models import ProcessKind
from config.heartbeat import HeartbeatThread
from config.pages import Pages
from config.probes import answer_livez

# Excludes all present objects from garbage collection, which would stop all requests for tens of milliseconds, and
# collects the rest after 50,000 new objects (some hundred requests).
gc.freeze()
gc.set_threshold(50_000, 20, 50)

application = IngestApp(Pages(wsgi.application), quick={"/livez": answer_livez})
HeartbeatThread(ProcessKind.WEB).measure_clock_and_start()
prefetch(load_links)
