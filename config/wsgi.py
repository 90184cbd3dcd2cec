"""Django alone, for a server that speaks WSGI. config/asgi.py is the faster way in for events."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
