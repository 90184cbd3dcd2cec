"""Accounts, their second factors and sessions.

Only superusers change accounts: the flags can make a superuser, and the password, address or second factor give access
to every game of the account. Other staff see accounts as their permissions allow.
"""

from typing import Any

from allauth.mfa.admin import Authenticator
from allauth.usersessions.admin import UserSession
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import ManyToManyField, QuerySet
from django.http import HttpRequest
from django.urls import path

from audience.accounts import addresses, members
from audience.accounts.members import free_username
from audience.admin import account_links
from audience.admin.base import DeclaredFilters, ReadOnly
from audience.models import AddressChange, SignInPace
from audience.models.accounts import AccountSettings

# Importing the modules above registered these.
admin.site.unregister([Authenticator, Group, User, UserSession])

PASSWORD_LINK, ADDRESS_LINK = "auth_user_password_link", "auth_user_address_link"

# Instead of filter_horizontal, whose script the content security policy forbids.
CHECKBOXES: dict[Any, Any] = {ManyToManyField: {"widget": forms.CheckboxSelectMultiple, "help_text": ""}}


class ChangedBySuperusers:
    """Viewed with the view permission, changed by superusers only."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    has_add_permission = has_delete_permission = has_change_permission


def is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False) and request.user.is_active)


@admin.register(Group)
class PermissionGroupAdmin(ChangedBySuperusers, DeclaredFilters, GroupAdmin):
    """Sets of permissions for operators."""

    filter_horizontal = ()
    formfield_overrides = CHECKBOXES


class NewAccountForm(forms.ModelForm[User]):
    """Creates an account without a password. It is set by a link created afterward."""

    class Meta:
        model = User
        fields = ["email"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].required = True

    def clean_email(self) -> str:
        email = addresses.normalize(self.cleaned_data["email"])
        addresses.lock_address(email)
        if addresses.find_account(email):
            raise forms.ValidationError("An account for this address already exists.")
        return email

    def save(self, commit: bool = True) -> User:
        self.instance.username = free_username(self.instance.email)
        self.instance.set_unusable_password()
        return super().save(commit)


@admin.register(User)
class AccountAdmin(ChangedBySuperusers, DeclaredFilters, UserAdmin[User]):
    """The address is read-only: it is changed by a link mailed to the new address."""

    list_display = ("email", "username", "is_active", "is_staff", "is_superuser", "last_login")
    filter_horizontal = ()
    formfield_overrides = CHECKBOXES
    readonly_fields = ["email", "password_state", "last_login", "date_joined"]
    fieldsets = (
        (None, {"fields": ("email", "username", "password_state", "first_name", "last_name")}),
        ("Permissions", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    # Not Django's form, which has fields for a user name and a password.
    add_form_template = "admin/change_form.html"
    add_form = NewAccountForm
    add_fieldsets = ((None, {"fields": ("email",)}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else []

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change=change, **(kwargs if obj else {**kwargs, "form": self.add_form}))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Refuse to delete the only admin of a game."""
        deleted, counts, missing, protected = super().get_deleted_objects(objs, request)
        games = members.games_left_without_admin(list(objs)).order_by("name")
        return deleted, counts, missing, [*protected, *(f"{game} needs another admin first." for game in games)]

    @admin.display(description="Password")
    def password_state(self, account: User) -> str:
        return "Set" if account.has_usable_password() else "None"

    def get_urls(self) -> list[Any]:
        """Add two pages, and remove Django's password page, on which staff would choose the password."""
        link_pages = [
            path("<int:pk>/password/", self.admin_site.admin_view(account_links.password_link), name=PASSWORD_LINK),
            path("<int:pk>/address/", self.admin_site.admin_view(account_links.address_link), name=ADDRESS_LINK),
        ]
        return [*link_pages, *(url for url in super().get_urls() if url.name != "auth_user_password_change")]


class DeleteOnly(ReadOnly):
    """Read-only, but can be deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)


@admin.register(Authenticator)
class AuthenticatorAdmin(DeleteOnly):
    """Deleted for users who lost their device. Its data is secret and not shown."""

    list_display = ["user", "type", "created_at", "last_used_at"]
    list_filter = ["type", "created_at"]
    fields = ["user", "type", "created_at", "last_used_at"]
    search_fields = ["user__email", "user__username"]
    ordering = ["-pk"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)


@admin.register(UserSession)
class UserSessionAdmin(DeleteOnly):
    list_display = ["user", "created_at", "last_seen_at", "ip", "user_agent"]
    list_filter = ["created_at"]
    fields = ["user", "created_at", "last_seen_at", "ip", "user_agent"]
    search_fields = ["user__email", "user__username", "ip"]
    ordering = ["-pk"]

    def delete_model(self, request: HttpRequest, obj: UserSession) -> None:
        obj.end()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for session in queryset:
            session.end()


@admin.register(AddressChange)
class AddressChangeAdmin(DeleteOnly):
    """Requested by the owner or on the account's admin page. Deleting one invalidates its link."""

    list_display = ["email", "user", "created_at", "expires_at"]
    fields = ["email", "user", "created_at", "expires_at"]
    search_fields = ["email", "user__email"]
    ordering = ["-created_at"]


@admin.register(AccountSettings)
class AccountSettingsAdmin(DeleteOnly):
    """What owners chose for their pages. Deleting a row restores the defaults."""

    list_display = ["user", "time_zone"]
    fields = ["user", "time_zone"]
    search_fields = ["user__email", "user__username"]
    ordering = ["-pk"]


@admin.register(SignInPace)
class SignInPaceAdmin(DeleteOnly):
    """Identified by a hash of the typed address. Deleting one ends the delay."""

    list_display = ["pk", "attempts", "last_at", "free_at"]
    fields = ["attempts", "last_at", "free_at"]
    ordering = ["-last_at"]
