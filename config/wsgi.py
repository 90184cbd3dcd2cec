"""The web processes' way in. Set before anything else runs: how long one thread may keep the others waiting."""

import os
import sys

from django.core.wsgi import get_wsgi_application

# Seconds. A thread that writes for thirty others waits for PostgreSQL half a dozen times, and with Python's 5 ms it
# would wait as often for a neighbour who parses.
sys.setswitchinterval(0.0005)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
