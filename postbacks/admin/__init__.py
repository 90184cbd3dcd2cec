"""The admin of this app: read-only rows, and an action that sends failed deliveries again."""

from postbacks.admin import alerts, campaigns, deliveries, settings
