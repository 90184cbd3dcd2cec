"""What all wire routes share: authenticate -> size limit -> parse -> accept -> reply in the dialect's words."""

from collections.abc import Mapping
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audience.intake import body

logger = structlog.get_logger(__name__)

# Seconds. Short, since most absences are a restart; clients add their own back-off.
RETRY_AFTER = 5


class Refusal(Exception):
    """A request answered with an error, in the dialect's words: `body` is what goes out."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.response = Response(body, status=status, headers=dict(headers or {}))


class IngestView(APIView):
    """The frame of a wire route. A dialect gives the words: `refuse`, and `handle_*` for its methods.

    Every answer, also an error, carries the CORS headers: a browser hides the status of one without them,
    and an SDK that cannot see a 503 does not retry. A passing fault is always 503 with Retry-After, since
    clients drop their data for good on a 4xx.
    """

    cors: Mapping[str, str] = {}

    def refuse(self, status: int, message: str, details: list[dict[str, str]] | None = None) -> Refusal:
        """This dialect's error for an HTTP status, to be raised."""
        raise NotImplementedError(f"{type(self).__name__} has no words for an error")

    def body(self, request: Request, *, limit: int) -> Any:
        """The request's JSON; refused 400 when it is none and 413 over `limit` bytes, packed or unpacked."""
        try:
            return body.decode(body.read(request._request, limit=limit))
        except body.TooLarge:
            raise self.refuse(413, f"The body is larger than {limit} bytes; send smaller batches.") from None
        except body.Malformed as error:
            raise self.refuse(400, str(error)) from None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.received_at = timezone.now()

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        # An SDK's odd Accept header must not cost its user a 406.
        renderer = JSONRenderer()
        return renderer, renderer.media_type

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        return Response(status=204)

    def handle_exception(self, exc: Exception) -> Response:
        response = self._answer(exc)
        response.exception = True
        return response

    def _answer(self, exc: Exception) -> Response:
        if isinstance(exc, Refusal):
            return exc.response
        if isinstance(exc, OperationalError | InterfaceError):
            logger.warning("storage_away", path=self.request.path, error=str(exc).splitlines()[0][:200])
            response = self.refuse(503, "Storage is away for a moment; send this again.").response
            response["Retry-After"] = str(RETRY_AFTER)
            return response
        if isinstance(exc, MethodNotAllowed):
            response = self.refuse(405, f"{self.request.method} is not served here.").response
            response["Allow"] = ", ".join(self.allowed_methods)
            return response
        logger.error("ingest_failed", path=self.request.path, exc_info=exc)
        return self.refuse(500, "Something broke on our side; it is logged. Send this again.").response

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        for name, value in self.cors.items():
            response[name] = value
        return super().finalize_response(request, response, *args, **kwargs)
