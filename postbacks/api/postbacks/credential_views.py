"""The credential of a postback: rotating it, checking it, restoring the one before; and sending what waits for it."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import requires
from audience.api.toolkit.problems import Conflict
from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.models import Role, Scope
from postbacks.api.checks.serializers import EXAMPLE as CHECK_EXAMPLE
from postbacks.api.checks.serializers import PENDING_EXAMPLE, StartedCheckSerializer
from postbacks.api.postbacks.serializers import EXAMPLE, PostbackSerializer
from postbacks.api.postbacks.settings import RotateSerializer, entered
from postbacks.api.postbacks.waiting import PREFER, AwaitsChecks
from postbacks.configs import credentials, lifecycle
from postbacks.configs.entered_settings import propose
from postbacks.delivery import try_now

STARTED = OpenApiExample("Checking", {"check": PENDING_EXAMPLE}, response_only=True, status_codes=["202"])
SAVED_RESPONSES = {200: PostbackSerializer, 202: StartedCheckSerializer}
SAVED_EXAMPLES = [OpenApiExample("Changed", EXAMPLE, response_only=True, status_codes=["200"]), STARTED]
CHECKED_RESPONSES = {200: StartedCheckSerializer, 202: StartedCheckSerializer}
CHECKED_EXAMPLES = [
    OpenApiExample("Accepted", {"check": {**CHECK_EXAMPLE, "purpose": "release"}}, response_only=True),
]


class TriedSerializer(ReadSerializer):
    deliveries = serializers.IntegerField(help_text="How many are sent, one after the first was accepted.")


class HoldSerializer(StrictSerializer):
    note = serializers.CharField(
        max_length=200, default="", allow_blank=True, help_text="Why. Shown on its page and on conversions that wait."
    )


class CredentialActions(AwaitsChecks):
    operations = {
        "rotate": requires(Scope.POSTBACKS, Role.MARKETER),
        "check_credential": requires(Scope.POSTBACKS, Role.MARKETER),
        "roll_back": requires(Scope.POSTBACKS, Role.MARKETER),
        "try_now": requires(Scope.POSTBACKS, Role.MARKETER),
        "hold": requires(Scope.POSTBACKS, Role.MARKETER),
        "release": requires(Scope.POSTBACKS, Role.MARKETER),
    }

    @extend_schema(
        request=RotateSerializer,
        responses=SAVED_RESPONSES,
        parameters=[PREFER],
        examples=[
            OpenApiExample("Token", {"credential": {"token": "0f9e8d7c6b5a49382716f5e4d3c2b1a0"}}, request_only=True),
            *SAVED_EXAMPLES,
        ],
    )
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, game: str, id: str) -> Response:
        """Replace the credential of a postback. The network checks it first, which is answered with 202. When it is
        accepted, nothing more is sent with the old one, and deliveries on hold are released. For 24 hours the old one
        can be restored with roll-back.
        """
        data = self.body(RotateSerializer)
        config = self.config(id)
        with self.refusals():
            proposed = propose(game=self.game, network=config.kind, entered=entered(data), config=config)
            check = lifecycle.change(
                config=config, proposed=proposed, changed_by=self.user, seen_version=self.seen_version(config)
            )
        return self.started(check) if check else self.answered(id)

    @extend_schema(request=None, responses=CHECKED_RESPONSES, parameters=[PREFER], examples=CHECKED_EXAMPLES)
    @action(detail=True, methods=["post"], url_path="check")
    def check_credential(self, request: Request, game: str, id: str) -> Response:
        """Check the stored credential. If the network accepts it, deliveries that are on hold because it was refused
        are released.
        """
        config = self.config(id)
        with self.refusals():
            check = credentials.request_release(config=config, requested_by=self.user)
        return self.started(check)

    @extend_schema(request=None, responses=SAVED_RESPONSES, parameters=[PREFER], examples=SAVED_EXAMPLES)
    @action(detail=True, methods=["post"], url_path="roll-back")
    def roll_back(self, request: Request, game: str, id: str) -> Response:
        """Restore the credential from before the last rotation. It is stored for 24 hours, and the network checks it
        first.
        """
        config = self.config(id)
        with self.refusals():
            check = lifecycle.roll_back(config=config, requested_by=self.user)
        return self.started(check)

    @extend_schema(
        request=None,
        responses={200: TriedSerializer},
        examples=[OpenApiExample("Sent now", {"deliveries": 12}, response_only=True)],
    )
    @action(detail=True, methods=["post"], url_path="try-now")
    def try_now(self, request: Request, game: str, id: str) -> Response:
        """Send what waits now, before the pause of the pixel ends. One call is made, and the others follow if the
        network accepts it.
        """
        try:
            return Response({"deliveries": try_now.try_config(self.config(id))})
        except try_now.NotTryable as problem:
            raise Conflict(str(problem)) from problem

    @extend_schema(
        request=HoldSerializer,
        responses={200: PostbackSerializer},
        examples=[
            OpenApiExample("Reason", {"note": "The budget of the campaign is used up."}, request_only=True),
            OpenApiExample("On hold", {**EXAMPLE, "state": "on_hold"}, response_only=True, status_codes=["200"]),
        ],
    )
    @action(detail=True, methods=["post"])
    def hold(self, request: Request, game: str, id: str) -> Response:
        """Put a postback on hold. Conversions wait until it is released; no check of the credential ends this hold."""
        note = self.body(HoldSerializer)["note"]
        config = self.config(id)
        with self.refusals():
            lifecycle.put_on_hold(config=config, changed_by=self.user, note=note)
        return self.answered(id)

    @extend_schema(
        request=None,
        responses={200: PostbackSerializer},
        examples=[OpenApiExample("Released", EXAMPLE, response_only=True, status_codes=["200"])],
    )
    @action(detail=True, methods=["post"])
    def release(self, request: Request, game: str, id: str) -> Response:
        """End a hold without a check. What waits is sent; if the network refuses the credential, it is held again."""
        config = self.config(id)
        with self.refusals():
            lifecycle.release(config=config, changed_by=self.user)
        return self.answered(id)
