"""The Django admin for operators. Players' data is read-only here; only the API changes it."""

from django.contrib import admin

from audience.admin import (
    accounts,
    background,
    catalog,
    games,
    joins,
    keys,
    libraries,
    links,
    memberships,
    players,
    suppressions,
    tokens,
    traffic,
)

admin.site.site_header = "Afterclick"
admin.site.site_title = "Afterclick"
admin.site.index_title = "Administration"
# templates/admin/base_site.html has a link to the Hub instead.
admin.site.site_url = None
