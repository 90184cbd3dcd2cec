"""The web processes' way in: wire routes on the event loop, everything else through Django on threads."""

import gc

from config import wsgi  # first: it sets Django up

# isort: split
from audience.intake.asgi import IngestApp
from audience.models import ProcessKind
from config.pages import Pages
from config.probes import alive
from config.pulse import Pulse

# What has been made so far stays for ever. Looking through it for garbage takes tens of milliseconds, in which all
# requests wait: it is left out, and the rest is looked through after 50,000 new objects (some hundred requests).
gc.freeze()
gc.set_threshold(50_000, 20, 50)

application = IngestApp(Pages(wsgi.application), quick={"/livez": alive})
Pulse(ProcessKind.WEB).begin()
