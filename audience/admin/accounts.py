"""People who sign in: their accounts, second factors and sessions, in forms that any reader can use."""

from typing import Any

from allauth.mfa.admin import Authenticator
from allauth.usersessions.admin import UserSession
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest

from audience.admin.reading import ReadOnly

# The modules above have registered theirs by being imported.
admin.site.unregister([Authenticator, Group, User, UserSession])


def in_boxes(field: Any) -> Any:
    """A choice of many, one box each: Django's two lists need a script, which names icons where that is not allowed."""
    field.widget, field.help_text = forms.CheckboxSelectMultiple(choices=field.choices), ""
    return field


@admin.register(Group)
class PermissionGroupAdmin(GroupAdmin):
    """Sets of permissions for operators."""

    filter_horizontal = ()

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any) -> Any:
        return in_boxes(super().formfield_for_manytomany(db_field, request, **kwargs))


@admin.register(User)
class AccountAdmin(UserAdmin[User]):
    filter_horizontal = ()
    # Facts, and nobody's to set.
    readonly_fields = ["last_login", "date_joined"]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return in_boxes(super().formfield_for_manytomany(db_field, request, **kwargs))


class Ended(ReadOnly):
    """Made by its owner; here it can be ended."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)


@admin.register(Authenticator)
class AuthenticatorAdmin(Ended):
    """Deleted for somebody who lost the device. What it keeps is a secret, sealed or not."""

    list_display = ["user", "type", "created_at", "last_used_at"]
    list_filter = ["type", "created_at"]
    list_select_related = ["user"]
    fields = ["user", "type", "created_at", "last_used_at"]
    search_fields = ["user__email", "user__username"]
    ordering = ["-pk"]


@admin.register(UserSession)
class UserSessionAdmin(Ended):
    list_display = ["user", "created_at", "last_seen_at", "ip", "user_agent"]
    list_filter = ["created_at"]
    list_select_related = ["user"]
    fields = ["user", "created_at", "last_seen_at", "ip", "user_agent"]
    search_fields = ["user__email", "user__username", "ip"]
    ordering = ["-pk"]

    def delete_model(self, request: HttpRequest, obj: UserSession) -> None:
        obj.end()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for session in queryset:
            session.end()
