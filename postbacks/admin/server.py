"""Server troubles with the mails about them, and the running processes."""

from django.contrib import admin

from audience.admin.base import ReadOnly
from postbacks.models import ServerTrouble


@admin.register(ServerTrouble)
class ServerTroubleAdmin(ReadOnly):
    list_display = ["began_at", "title", "sentence", "seen_at", "ended_at", "begin_mailed_at", "end_mailed_at"]
    list_filter = ["kind", ("ended_at", admin.EmptyFieldListFilter)]
    ordering = ["-began_at"]
