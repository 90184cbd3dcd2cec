"""What an operator may look at, and one thing to do: send a failed delivery again. The Hub does the rest."""

from postbacks.admin import alerts, deliveries, server, settings

__all__ = ["alerts", "deliveries", "server", "settings"]
