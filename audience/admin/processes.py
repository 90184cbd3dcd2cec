"""The running processes of this installation."""

from django.contrib import admin

from audience.admin.base import ReadOnly
from audience.models import Heartbeat


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly):
    list_display = ["kind", "name", "started_at", "seen_at", "worked_at"]
    list_filter = ["kind"]
    ordering = ["kind", "-seen_at"]
