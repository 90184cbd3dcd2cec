"""Postbacks: read-only rows, since the network has to accept their settings; and the actions of the Hub."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from audience.admin.base import ReadOnly, fields_of
from audience.admin.operations import confirmed_action, for_each
from postbacks.admin.network_filter import network_filter
from postbacks.configs import credentials, lifecycle, unsent_counts
from postbacks.configs.credential_form import CredentialForm, rotation_form
from postbacks.configs.forms import HoldForm
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.configs.rules import SettingsRefused
from postbacks.models import CredentialCheck, PostbackConfig
from postbacks.reporting.labels import conversions

Rows = list[PostbackConfig]
CHECKED = "The check was requested. The list of credential checks shows its result."


def unsent_text(config: PostbackConfig) -> str:
    """Return how many conversions a disabled postback does not send."""
    return unsent_counts.count_unsent(config).text or "no conversions are waiting or on hold."


def waiting_text(config: PostbackConfig) -> str:
    """Return how many conversions a hold keeps, or a release sends."""
    counts = unsent_counts.count_unsent(config)
    return f"{conversions(counts.waiting + counts.held, 'waits', 'wait')} now"


@admin.register(PostbackConfig)
class PostbackConfigAdmin(ReadOnly):
    list_display = ["pixel_id", "network", "game", "enabled", "has_credential", "version", "validated_at", "deleted_at"]
    list_filter = [
        *(network_filter("network"), "enabled"),
        ("held_at", admin.EmptyFieldListFilter),
        ("deleted_at", admin.EmptyFieldListFilter),
        "game",
    ]
    list_select_related = ["game"]
    newest = ()  # a user adds each
    search_fields = ["pixel_id", "game__name"]
    ordering = ["-created_at"]
    fields = (*fields_of(PostbackConfig, exclude=("credential", "previous_credential")), "has_credential")
    actions = ["enable", "disable", "put_on_hold", "release", "check_credential", "rotate", "roll_back"]

    def view_on_site(self, config: PostbackConfig) -> str:
        return reverse("integration", kwargs={"slug": config.game.slug, "network": config.network})

    @admin.display(description="credential")
    def has_credential(self, config: PostbackConfig) -> str:
        if config.credential.ciphertext:
            return "•••• cannot be decrypted: the key is missing"
        return "•••• set" if config.credential else "none"

    @confirmed_action(
        "Enable",
        permission="operate",
        title="Enable these postbacks?",
        warning="Conversions are sent from now on. Those of the time while it was disabled are not sent.",
    )
    def enable(self, request: HttpRequest, rows: Rows) -> None:
        def enable(config: PostbackConfig) -> str:
            lifecycle.enable(config=config, changed_by=request.user)
            return "The postback is enabled."

        for_each(self, request, rows, enable, refusals=(SettingsRefused,))

    @confirmed_action(
        "Disable",
        permission="operate",
        title="Disable these postbacks?",
        warning="Nothing is sent while a postback is disabled, and conversions of that time are not sent later.",
        explain=unsent_text,
    )
    def disable(self, request: HttpRequest, rows: Rows) -> None:
        def disable(config: PostbackConfig) -> str:
            unsent = lifecycle.disable(config=config, changed_by=request.user)
            return f"The postback is disabled. {unsent.text}".rstrip()

        for_each(self, request, rows, disable, refusals=(SettingsRefused,))

    @confirmed_action(
        "Put on hold",
        permission="operate",
        title="Put these postbacks on hold?",
        warning="Conversions wait until a user releases the postback. One whose deadline passes before that is not "
        "sent. No credential check and no rotation ends this hold.",
        form=lambda data, _: HoldForm(data),
        explain=waiting_text,
    )
    def put_on_hold(self, request: HttpRequest, rows: Rows, form: HoldForm) -> None:
        def hold(config: PostbackConfig) -> str:
            held = lifecycle.put_on_hold(config=config, changed_by=request.user, note=form.cleaned_data["note"])
            return f"The postback is on hold. {conversions(held, 'waits', 'wait')} until a user releases it."

        for_each(self, request, rows, hold, refusals=(SettingsRefused,))

    @confirmed_action(
        "Release",
        permission="operate",
        title="Release these postbacks?",
        warning="The conversions that wait are sent now, without a check of the credential. If the network refuses it, "
        "the postback is put on hold again. “Check credential” releases only what the network accepts.",
        explain=waiting_text,
    )
    def release(self, request: HttpRequest, rows: Rows) -> None:
        def release(config: PostbackConfig) -> str:
            released = lifecycle.release(config=config, changed_by=request.user)
            return f"The postback was released. {conversions(released, 'is', 'are')} sent now."

        for_each(self, request, rows, release, refusals=(SettingsRefused,))

    @confirmed_action(
        "Check credential",
        permission="operate",
        title="Check the credentials of these postbacks?",
        warning="One test event is sent to the network for each. If the network accepts it, a postback that is on hold "
        "for its credential is released. If it refuses it twice, the postback is put on hold.",
    )
    def check_credential(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        return self._checked(request, rows, credentials.request_release)

    @confirmed_action(
        "Roll back credential",
        permission="operate",
        title="Restore the previous credentials?",
        warning="The credential before the last rotation is stored for 24 hours. The network checks it first; nothing "
        "is changed if it refuses it.",
    )
    def roll_back(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        return self._checked(request, rows, lifecycle.roll_back)

    @confirmed_action(
        "Rotate credential",
        permission="operate",
        title="Rotate the credential of this postback?",
        warning="The network checks the new credential first. If it accepts it, nothing is sent with the old one from "
        "then on; if not, nothing is changed. The old one can be restored for 24 hours.",
        form=lambda data, rows: rotation_form(data, rows[0]),
        limit=1,
    )
    def rotate(self, request: HttpRequest, rows: Rows, form: CredentialForm) -> HttpResponse | None:
        def change(*, config: PostbackConfig, requested_by: Any) -> CredentialCheck:
            proposed = ProposedSettings.of(config, credential=form.cleaned_data["credential"])
            check = lifecycle.change(config=config, proposed=proposed, changed_by=requested_by)
            if check is None:
                raise SettingsRefused("Nothing was entered, so the credential is unchanged.")
            return check

        return self._checked(request, rows, change)

    def _checked(self, request: HttpRequest, rows: Rows, start: Callable[..., CredentialCheck]) -> HttpResponse | None:
        """Start a check of each row. Of one row, return a redirect to the page that shows the result."""
        started: list[CredentialCheck] = []

        def check(config: PostbackConfig) -> str:
            started.append(start(config=config, requested_by=request.user))
            return CHECKED

        for_each(self, request, rows, check, refusals=(SettingsRefused,))
        if len(rows) == len(started) == 1 and request.user.has_perm("postbacks.view_credentialcheck"):
            return redirect("admin:postbacks_credentialcheck_change", started[0].pk)
        return None
