"""Members: everyone sees who belongs to the game and its admins; admins invite, change roles and remove."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience.accounts import mail, members, second_factor
from audience.hub.toolkit.access import HubRequest, game_view, has_role, page
from audience.models import ApiToken, Invitation, Membership, Role
from audience.wording.articles import with_article

ROLES_HELP = "Viewers can view. Marketers can also manage postbacks. Admins can also manage keys, members and privacy."

NO_MAIL_SERVER = (
    "this installation has no mail server. An administrator of this installation can copy the link from "
    "the menu of the invitation below."
)


class RoleForm(forms.Form):
    """What a member may do."""

    role = forms.TypedChoiceField(
        choices=Role.choices, coerce=Role, initial=Role.VIEWER, widget=forms.RadioSelect, help_text=ROLES_HELP
    )


class MemberTokensForm(forms.Form):
    """Whether the service tokens that a member created end too."""

    revoke_tokens = forms.BooleanField(
        required=False,
        label="Revoke these service tokens too",
        help_text="Programs that use them are refused immediately. To replace them without an interruption, "
        "rotate them on the page API tokens first.",
    )


class MemberRoleForm(MemberTokensForm, RoleForm):
    """The new role of a member."""

    field_order = ("role", "revoke_tokens")


class InviteForm(RoleForm):
    """The address to invite, and its role."""

    email = forms.EmailField(
        max_length=254,
        help_text="The invitation is sent to this address and works only for it.",
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    field_order = ("email", "role")


@dataclass(frozen=True, slots=True)
class Member:
    """A row of the list."""

    membership: Membership
    has_second_factor: bool
    is_self: bool


@game_view()
def member_list(request: HubRequest, membership: Membership) -> HttpResponse:
    """List the members; invitations, sign-ins and second factors for admins only."""
    is_admin = has_role(membership, Role.ADMIN)
    memberships = Membership.objects.filter(game=membership.game).select_related("user").order_by("user__email", "pk")
    secured = second_factor.users_with_second_factor(row.user_id for row in memberships) if is_admin else set()
    rows = [
        Member(membership=row, has_second_factor=row.user_id in secured, is_self=row.user_id == request.user.pk)
        for row in memberships
    ]
    context: dict[str, Any] = {"rows": rows}
    if is_admin:
        pending = Invitation.objects.pending().filter(game=membership.game).select_related("invited_by")
        context |= {"invitations": pending, "has_mail_server": mail.has_mail_server()}
    return page(request, "hub/members/page.html", membership, **context)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def member_invite(request: HubRequest, membership: Membership) -> HttpResponse:
    form = InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            invited = members.invite(game=membership.game, invited_by=request.user, **form.cleaned_data)
        except members.MembersError as error:
            form.add_error("email", str(error))
        else:
            return _send(request, membership, invited)
    return page(request, "hub/members/invite.html", membership, form=form)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def member_role(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    member = _member(membership, pk)
    form = MemberRoleForm(request.POST or None, initial={"role": member.role})
    if request.method == "POST" and form.is_valid():
        try:
            members.change_role(membership=member, **form.cleaned_data)
        except members.MembersError as error:
            form.add_error("role", str(error))
        else:
            role = with_article(member.get_role_display().lower())
            messages.success(request, f"{member.user.email} is {role} of {member.game} now.")
            return _redirect_after(request, member)
    return page(request, "hub/members/role.html", membership, form=form, member=member, tokens=_tokens_of(member))


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def member_remove(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    member, refusal = _member(membership, pk), ""
    form = MemberTokensForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            members.remove(membership=member, **form.cleaned_data)
        except members.MembersError as error:
            refusal = str(error)
        else:
            messages.success(request, f"{member.user.email} is no longer a member of {member.game}.")
            return _redirect_after(request, member)
    context = {"member": member, "refusal": refusal, "form": form, "tokens": _tokens_of(member)}
    return page(request, "hub/members/remove.html", membership, **context)


@game_view(role=Role.ADMIN, methods=("POST",))
def invitation_resend(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    try:
        invited = members.renew(invitation=_invitation(membership, pk))
    except members.MembersError as error:
        messages.error(request, str(error))
        return redirect("members", slug=membership.game.slug)
    return _send(request, membership, invited)


@game_view(role=Role.ADMIN, methods=("POST",))
def invitation_link(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    """Create a new link and show it once, for superusers."""
    try:
        invited = members.renew_for_copying(invitation=_invitation(membership, pk), requested_by=request.user)
    except members.MembersError as error:
        messages.error(request, str(error))
        return redirect("members", slug=membership.game.slug)
    context = {"invitation": invited.invitation, "link": invited.link}
    return page(request, "hub/members/invitation_link.html", membership, **context)


@game_view(role=Role.ADMIN, methods=("POST",))
def invitation_revoke(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    invitation = _invitation(membership, pk)
    try:
        members.revoke(invitation=invitation)
        messages.success(request, f"The invitation of {invitation.email} was revoked. Its link no longer works.")
    except members.MembersError as error:
        messages.error(request, str(error))
    return redirect("members", slug=membership.game.slug)


def _send(request: HubRequest, membership: Membership, invited: members.NewInvitation) -> HttpResponse:
    email = invited.invitation.email
    is_sent = mail.send_invitation(invited)
    if not mail.has_mail_server():
        messages.warning(request, f"{email} is invited, but {NO_MAIL_SERVER}")
    elif is_sent:
        messages.success(request, f"The invitation was sent to {email}. Its link works for 7 days.")
    else:
        messages.error(
            request, f"The mail server did not accept the email to {email}. Send the invitation again below."
        )
    return redirect("members", slug=membership.game.slug)


def _redirect_after(request: HubRequest, member: Membership) -> HttpResponse:
    """Redirect to the member list, or to the games if the user changed their own membership and may not see it."""
    if member.user_id == request.user.pk and not request.user.is_superuser:
        return redirect("games")
    return redirect("members", slug=member.game.slug)


def _member(membership: Membership, pk: int) -> Membership:
    return get_object_or_404(Membership.objects.select_related("user", "game"), game=membership.game, pk=pk)


def _tokens_of(member: Membership) -> list[ApiToken]:
    return list(ApiToken.objects.created_by_member(member))


def _invitation(membership: Membership, pk: int) -> Invitation:
    return get_object_or_404(Invitation.objects.select_related("game"), game=membership.game, pk=pk)
