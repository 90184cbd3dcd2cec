"""The admin of this app: read-only rows, and actions that call the functions of the Hub."""

from postbacks.admin import alerts, campaigns, deliveries, postbacks, settings
