"""Answers that wait for a check, with `Prefer: wait=<seconds>`: the postback, or the network's refusal."""

import re
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.problems import Conflict, Refused
from postbacks.api.checks.serializers import CheckSerializer
from postbacks.api.postbacks.base import PostbackBase
from postbacks.configs import check_waiting
from postbacks.models import CheckState, CredentialCheck, Purpose

WAIT = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})', re.IGNORECASE)
PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description=f"`wait=20` waits up to {check_waiting.MAX_SECONDS} seconds for the end of the check, and answers with "
    "its result, or with 400 and the network's refusal, or with 409 if the network could not be reached. The answer "
    "has `Preference-Applied`. If too many requests wait already, or the check takes longer, the answer is 202.",
    examples=[],
)


class AwaitsChecks(PostbackBase):
    """Operations that start a check answer 202; this base class waits for its end if the request prefers that.

    The wait begins when the request's transaction is over, since the check does not run before.
    """

    def started(self, check: CredentialCheck) -> Response:
        """Return 202 with the check."""
        path = f"/api/v1/games/{self.game.slug}/checks/{check.pk}"
        headers = {"Location": self.request.build_absolute_uri(path), "Retry-After": "1"}
        return Response({"check": CheckSerializer(check).data}, status=status.HTTP_202_ACCEPTED, headers=headers)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        seconds = preferred_wait(request)
        if seconds and response.status_code == status.HTTP_202_ACCEPTED:
            response = self._waited(request, response, seconds)
        return super().finalize_response(request, response, *args, **kwargs)

    def _waited(self, request: Request, response: Response, seconds: int) -> Response:
        with check_waiting.place() as is_free:
            if not is_free:
                return response
            try:
                check_id = UUID(str(response.data["check"]["id"]))
                check_waiting.wait_for_end(check_id, seconds=seconds)
                response = self._result(check_id, response)
            except Exception as error:  # noqa: BLE001  as in APIView.dispatch, which is over
                response = self.handle_exception(error)
        response["Preference-Applied"] = f"wait={seconds}"
        return response

    def _result(self, check_id: UUID, pending: Response) -> Response:
        """Return the answer to an ended check; raises the problem of a refused one."""
        rows = CredentialCheck.objects.select_related("requested_by").defer("credential")
        check = rows.get(game=self.game, pk=check_id)
        if check.state == CheckState.PENDING:
            return pending
        if check.state == CheckState.REFUSED:
            raise Refused(check.message, code="check_refused")
        if check.state == CheckState.UNVERIFIED:
            raise Conflict(check.message, code="check_unverified")
        if check.purpose != Purpose.SAVE or check.config_id is None:
            return Response({"check": CheckSerializer(check).data})
        is_new = check.config_version is None
        return self.answered(check.config_id, status.HTTP_201_CREATED if is_new else status.HTTP_200_OK)


def preferred_wait(request: Request) -> int:
    """Return the seconds of `Prefer: wait=`, at most MAX_SECONDS; 0 without such a preference."""
    match = WAIT.search(request.headers.get("Prefer", ""))
    return min(int(match[1]), check_waiting.MAX_SECONDS) if match else 0
