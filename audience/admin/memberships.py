"""Members and invitations, changed by the functions that the Hub calls: a game always has an admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from audience.accounts import addresses, mail, members
from audience.admin.base import ReadOnly, hub_page
from audience.admin.operations import confirmed_action, for_each, operation_page
from audience.hub.members.views import ROLES_HELP, MemberTokensForm
from audience.models import ApiToken, Game, Invitation, Membership, Role
from audience.wording.articles import with_article


class RoleForm(forms.Form):
    """What the members may do."""

    role = forms.TypedChoiceField(choices=Role.choices, coerce=Role, help_text=ROLES_HELP)


class NewMemberForm(RoleForm):
    """The account that becomes a member of a game."""

    game = forms.ModelChoiceField(Game.objects.order_by("name"))
    email = forms.EmailField(label="Email of the account", max_length=254)
    field_order = ("game", "email", "role")

    def clean_email(self) -> Any:
        """Return the account of the address."""
        account = addresses.find_account(self.cleaned_data["email"])
        if account is None:
            raise forms.ValidationError("No account signs in with this address. Add it under Users first.")
        return account


@admin.register(Membership)
class MembershipAdmin(ReadOnly):
    list_display = ["user", "game", "role", "created_at"]
    list_filter = ["role", "game"]
    list_select_related = ["user", "game"]
    search_fields = ["user__email", "user__username", "game__name"]
    ordering = ["-pk"]
    actions = ["change_role", "remove"]
    view_on_site = hub_page("members")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow deletion with the account only. A member is removed by an action, so that the game keeps an admin."""
        match = request.resolver_match
        is_own_page = match is not None and str(match.url_name).startswith("audience_membership_")
        return not is_own_page and admin.ModelAdmin.has_delete_permission(self, request, obj)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("audience.delete_membership")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = NewMemberForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            data = form.cleaned_data
            try:
                member = members.add(game=data["game"], user=data["email"], role=data["role"])
            except members.MembersError as refusal:
                form.add_error(None, str(refusal))
            else:
                self.log_addition(request, member, "The member was added.")
                self.message_user(request, f"{member} was added.", messages.SUCCESS)
                return redirect("admin:audience_membership_changelist")
        warning = "The account becomes a member at once, without an invitation."
        context = {"title": "Add member", "warning": warning, "button": "Add member", "form": form}
        return operation_page(self, request, "admin/operation.html", **context)

    @confirmed_action(
        "Change role",
        permission="operate",
        title="Change the role of these members?",
        warning="Each gets the role below in this game, effective at once. The last admin of a game stays an admin.",
        form=lambda data, rows: RoleForm(data, initial={"role": rows[0].role if rows else Role.VIEWER}),
        explain=lambda member: f"{member.get_role_display()} now",
    )
    def change_role(self, request: HttpRequest, rows: list[Membership], form: RoleForm) -> None:
        role: Role = form.cleaned_data["role"]

        def change(member: Membership) -> str:
            members.change_role(membership=member, role=role)
            return f"The member is {with_article(role.label.lower())} now."

        for_each(self, request, rows, change, refusals=(members.MembersError,))

    @confirmed_action(
        "Remove",
        permission="remove",
        title="Remove these members?",
        warning="They no longer see the game. Their accounts, other games and entries in the audit log are kept. The "
        "last admin of a game stays. Service tokens that they created keep their access unless you revoke them.",
        form=lambda data, rows: MemberTokensForm(data),
        explain=lambda member: _service_tokens_of(member),
    )
    def remove(self, request: HttpRequest, rows: list[Membership], form: MemberTokensForm) -> None:
        revoke_tokens: bool = form.cleaned_data["revoke_tokens"]

        def remove(member: Membership) -> str:
            pk = member.pk
            members.remove(membership=member, revoke_tokens=revoke_tokens)
            member.pk = pk  # for the history
            return "The member was removed."

        for_each(self, request, rows, remove, refusals=(members.MembersError,))


def _service_tokens_of(member: Membership) -> str:
    """Return which service tokens of the game the member created, '' for none."""
    names = [f"{token.name} ({token.prefix}…)" for token in ApiToken.objects.created_by_member(member)]
    return f"Service tokens: {', '.join(names)}" if names else ""


@admin.register(Invitation)
class InvitationAdmin(ReadOnly):
    """Created in the Hub, which mails the link. The link is not stored."""

    list_display = ["email", "game", "role", "invited_by", "created_at", "state"]
    list_filter = ["role", "game"]
    list_select_related = ["game", "invited_by"]
    search_fields = ["email", "game__name"]
    exclude = ["digest"]
    actions = ["send_again", "revoke"]
    view_on_site = hub_page("members")

    @admin.display(description="State")
    def state(self, invitation: Invitation) -> str:
        if invitation.accepted_at:
            return "Accepted"
        if invitation.revoked_at:
            return "Revoked"
        return "Open" if invitation.is_open else "Expired"

    @confirmed_action(
        "Send again",
        permission="operate",
        title="Send these invitations again?",
        warning="Each address gets a new link, which works for 7 days. Links that were sent before stop working.",
    )
    def send_again(self, request: HttpRequest, rows: list[Invitation]) -> None:
        def send(invitation: Invitation) -> str:
            is_sent = mail.send_invitation(members.renew(invitation=invitation))
            if not mail.has_mail_server():
                return "A new link was made, but this installation has no mail server. Copy the link in the Hub."
            return "The invitation was sent." if is_sent else "The mail server did not accept the email."

        for_each(self, request, rows, send, refusals=(members.MembersError,))

    @confirmed_action(
        "Revoke",
        permission="operate",
        title="Revoke these invitations?",
        warning="Their links stop working. An accepted invitation cannot be revoked: remove the member instead.",
    )
    def revoke(self, request: HttpRequest, rows: list[Invitation]) -> None:
        def revoke(invitation: Invitation) -> str:
            members.revoke(invitation=invitation)
            return "The invitation was revoked."

        for_each(self, request, rows, revoke, refusals=(members.MembersError,))
