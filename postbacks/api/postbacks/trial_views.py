"""Trying a postback before going live: preview, dry run and test conversion; and its settings for another network."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.problems import Refused
from audience.models import Role, Scope, Trigger
from postbacks.api.checks.serializers import EXAMPLE as CHECK_EXAMPLE
from postbacks.api.checks.serializers import StartedCheckSerializer
from postbacks.api.postbacks.settings import GOAL_EXAMPLE, entered
from postbacks.api.postbacks.trials import (
    COPY_EXAMPLE,
    DRY_RUN_EXAMPLE,
    PREVIEW_EXAMPLE,
    CopyQuery,
    CopySerializer,
    DryRunSerializer,
    PreviewBodySerializer,
    PreviewQuery,
    PreviewSerializer,
    PreviewsSerializer,
    ProposedSerializer,
    RequestSerializer,
    TestSerializer,
)
from postbacks.api.postbacks.waiting import PREFER, AwaitsChecks
from postbacks.configs import credentials
from postbacks.configs.copying import copied_settings
from postbacks.configs.entered_settings import REQUIRED, propose
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.outbox.goals import readable_goals
from postbacks.preview import dry_run, preview
from postbacks.preview.request_preview import preview_request

CHECKED_RESPONSES = {200: StartedCheckSerializer, 202: StartedCheckSerializer}
PROPOSED_EXAMPLE = {"network": "tiktok", "triggers": ["purchase"], "goals": [GOAL_EXAMPLE]}
PREVIEWS_EXAMPLE = {"preview": PREVIEW_EXAMPLE, "request": None}
NO_CONVERSION = "This conversion does not exist in the game."


class TrialActions(AwaitsChecks):
    operations = {
        "preview": reads(Scope.POSTBACKS),
        "preview_proposed": reads(Scope.POSTBACKS, Role.MARKETER),
        "dry_run": reads(Scope.POSTBACKS, Role.MARKETER),
        "dry_run_proposed": reads(Scope.POSTBACKS, Role.MARKETER),
        "send_test": requires(Scope.POSTBACKS, Role.MARKETER),
        "copied": reads(Scope.POSTBACKS, Role.MARKETER),
    }
    queries = {"preview": PreviewQuery, "copied": CopyQuery}

    @extend_schema(
        responses={200: PreviewsSerializer},
        examples=[OpenApiExample("Preview", PREVIEWS_EXAMPLE, response_only=True)],
    )
    @action(detail=True)
    def preview(self, request: Request, game: str, id: str) -> Response:
        """Return what the network would receive about a conversion with the stored settings. Nothing is sent."""
        config = self.config(id)
        return Response({"preview": self._preview(config, self.query().get("conversion"), [config]), "request": None})

    @extend_schema(
        request=PreviewBodySerializer,
        responses={200: PreviewsSerializer},
        examples=[
            OpenApiExample("Settings", PROPOSED_EXAMPLE, request_only=True),
            OpenApiExample("Preview", PREVIEWS_EXAMPLE, response_only=True),
        ],
    )
    @action(detail=False, methods=["post"], url_path="preview")
    def preview_proposed(self, request: Request, game: str) -> Response:
        """Return what a network would receive with settings that are not stored. For a network with templates, the
        answer also has the request that they make. Nothing is stored or sent.
        """
        data = self.body(PreviewBodySerializer)
        proposed, existing = self._proposed(data)
        config = proposed.as_config(game=self.game, existing=existing)
        takers = [existing] if existing else []
        made = None
        if config.kind.has_templates:
            made = preview_request(config.kind, dict(config.credential), pixel_id=proposed.pixel_id)
        found = self._preview(config, data.get("conversion"), takers)
        return Response({"preview": found, "request": RequestSerializer(made).data if made else None})

    @extend_schema(
        responses={200: DryRunSerializer}, examples=[OpenApiExample("Dry run", DRY_RUN_EXAMPLE, response_only=True)]
    )
    @action(detail=True, url_path="dry-run")
    def dry_run(self, request: Request, game: str, id: str) -> Response:
        """Evaluate the stored settings on the conversions of the last week. Nothing is stored or sent."""
        return Response(DryRunSerializer(dry_run.run(proposed=self.config(id), current=None)).data)

    @extend_schema(
        request=ProposedSerializer,
        responses={200: DryRunSerializer},
        examples=[
            OpenApiExample("Settings", PROPOSED_EXAMPLE, request_only=True),
            OpenApiExample("Dry run", DRY_RUN_EXAMPLE, response_only=True),
        ],
    )
    @action(detail=False, methods=["post"], url_path="dry-run")
    def dry_run_proposed(self, request: Request, game: str) -> Response:
        """Evaluate settings that are not stored on the conversions of the last week. With `postback`, the answer also
        counts what its present settings send. Nothing is stored or sent.
        """
        proposed, existing = self._proposed(self.body(ProposedSerializer))
        config = proposed.as_config(game=self.game, existing=existing)
        return Response(DryRunSerializer(dry_run.run(proposed=config, current=existing)).data)

    @extend_schema(
        request=TestSerializer,
        responses=CHECKED_RESPONSES,
        parameters=[PREFER],
        examples=[
            OpenApiExample("Purchase", {"trigger": "purchase", "test_code": "TEST12345"}, request_only=True),
            OpenApiExample("Accepted", {"check": {**CHECK_EXAMPLE, "purpose": "test"}}, response_only=True),
        ],
    )
    @action(detail=True, methods=["post"], url_path="test")
    def send_test(self, request: Request, game: str, id: str) -> Response:
        """Send a test conversion to the network's test view. It is never counted here; the check has the answer."""
        data = self.body(TestSerializer)
        with self.refusals():
            check = credentials.request_test(
                config=self.config(id),
                trigger=data["trigger"],
                requested_by=self.user,
                test_code=data.get("test_code", ""),
            )
        return self.started(check)

    @extend_schema(
        responses={200: CopySerializer}, examples=[OpenApiExample("For Meta Ads", COPY_EXAMPLE, response_only=True)]
    )
    @action(detail=True, url_path="copy")
    def copied(self, request: Request, game: str, id: str) -> Response:
        """Return the triggers and goals of a postback for another network. Nothing is stored: complete them with a
        pixel and a credential, and create a postback.
        """
        network = NETWORKS[self.query()["network"]]
        copied = copied_settings(self.config(id), network)
        values = {"network": network.kind, "triggers": copied.triggers, "goals": readable_goals(copied.goals)}
        return Response(CopySerializer({**values, "enabled": copied.enabled, "notes": copied.notes}).data)

    def _preview(self, config: PostbackConfig, conversion: UUID | None, takers: list[PostbackConfig]) -> Any:
        """Return the preview of this conversion, or of the newest one; None if the game has none."""
        choices = [] if conversion else preview.recent_conversions(self.game, config.network, takers)
        chosen = preview.chosen_conversion(self.game, str(conversion or ""), choices)
        if chosen is None:
            if conversion:
                raise Refused(NO_CONVERSION, field="conversion")
            return None
        return PreviewSerializer(preview.build_preview(chosen, config, addresses=self.addresses)).data

    def _proposed(self, data: dict[str, Any]) -> tuple[ProposedSettings, PostbackConfig | None]:
        """Return the settings of a body, and the stored postback that it names."""
        existing, kind = None, data.get("network")
        if "postback" in data:
            existing = PostbackConfig.objects.kept().filter(game=self.game, pk=data["postback"]).first()
            if existing is None:
                raise Refused("This postback does not exist in the game.", field="postback")
            kind = kind or existing.network
            if kind != existing.network:
                raise Refused("This is not the network of the postback.", field="network")
        if kind is None:
            raise Refused(REQUIRED, field="network", code="required")
        settings = entered(data)
        if existing is None and settings.triggers is None and settings.goals is None:
            settings = entered({**data, "triggers": list(Trigger.values)})
        with self.refusals():
            proposed = propose(
                game=self.game, network=NETWORKS[kind], entered=settings, config=existing, is_saved=False
            )
        return proposed, existing
