"""The admin of this app: read-only records, and sending failed deliveries again."""

from postbacks.admin import alerts, deliveries, settings
