"""Consent and erasure in the Immutable dialect, with Django REST framework's own dispatch (immutable_rest.py)."""

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from audience.ids.values import canonical
from audience.intake.dialects.immutable_rest import PrivacyView, SecretKeyAuthentication
from audience.intake.dialects.immutable_route import SECRET_HEADER
from audience.intake.dialects.immutable_serializers import AnonymousIdSerializer, DecisionSerializer, SubjectSerializer
from audience.intake.dialects.responses import as_json
from audience.privacy import decisions
from audience.privacy.erasure import request_erasure
from consent.decisions import current_level


class TrackingConsentView(PrivacyView):
    """GET and PUT /v1/audience/tracking-consent"""

    route = "tracking-consent"

    def get(self, request: Request) -> HttpResponse:
        query = self.validated_query(AnonymousIdSerializer)
        return as_json(
            {"status": current_level(game_id=self.key.game_id, anonymous_id=canonical(query["anonymousId"]))}
        )

    def put(self, request: Request) -> HttpResponse:
        decision = self.validated_body(DecisionSerializer)
        decisions.record_of_client(
            game=self.key.game,
            anonymous_id=canonical(decision["anonymousId"]),
            level=decision["status"],
            source=decision["source"],
            decided_at=self.received_at,
        )
        return HttpResponse(status=204)


class DataView(PrivacyView):
    """DELETE /v1/audience/data?userId= or ?anonymousId=, with the secret key. A worker erases the data later."""

    route = "data"
    authentication_classes = (SecretKeyAuthentication,)

    def delete(self, request: Request) -> HttpResponse:
        subject: dict[str, Any] = self.validated_query(SubjectSerializer)
        request_erasure(game=self.key.game, requested_by=f"{SECRET_HEADER} {self.key.prefix}…", **subject)
        return HttpResponse(status=202)
