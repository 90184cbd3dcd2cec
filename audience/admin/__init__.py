"""What operators look up and repair. Players' data is read here and changed by the API only."""

from django.contrib import admin

from audience.admin import accounts, failed_work, games, libraries, players, processes, traffic

__all__ = ["accounts", "failed_work", "games", "libraries", "players", "processes", "traffic"]

admin.site.site_header = "Afterclick"
admin.site.site_title = "Afterclick"
admin.site.index_title = "Administration"
# The way back is the Hub's, in templates/admin/base_site.html.
admin.site.site_url = None
