"""The parts of Django REST framework for consent and erasure: authentication, throttle, permission, parser, errors.

Their rate is low, so they are answered on threads by DRF's dispatch. Routes for events are not (base.py).
"""

from typing import Any

from django.http import HttpResponseBase
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from audience.intake.dialects.immutable_route import ImmutableRoute
from audience.intake.dialects.responses import Refusal
from audience.intake.messages.message import Violation
from audience.intake.requests import body, limit
from audience.intake.storing.accept import accept_all, record_use
from audience.models import ApiKey

MAX_BODY_BYTES = 64 * 1024


class KeyAuthentication(BaseAuthentication):
    """A key that may send events, in the headers of this dialect; it is `request.auth`."""

    is_erasure = False

    def authenticate(self, request: Request) -> tuple[None, ApiKey]:
        view: PrivacyView = request.parser_context["view"]
        key = view.find_key(request, is_erasure=self.is_erasure)
        record_use(key)
        return None, key


class SecretKeyAuthentication(KeyAuthentication):
    """The secret key, which erases."""

    is_erasure = True


class KeyThrottle(BaseThrottle):
    """The rate limit of a key, which its requests with events use too."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        self.seconds = limit.seconds_to_wait(request.auth)  # type: ignore[arg-type]
        return not self.seconds

    def wait(self) -> float:
        return self.seconds


class CallerPermission(BasePermission):
    """The origins and addresses from which a key may be used."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if violation := view.caller_violation(view.key):
            raise view.with_rejection(view.error(401, violation.message, [violation]), view.key, violation)
        return True


class AnyTypeParser(BaseParser):
    """JSON of any stated type, compressed or not: clients send it as text/plain and as a form."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        view: PrivacyView = parser_context["view"]
        return view.decode(view.read(parser_context["request"], limit=MAX_BODY_BYTES))


class IgnoreAccept(BaseContentNegotiation):
    """The one format, whatever the Accept header has."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class PrivacyView(ImmutableRoute):
    """A view with DRF's dispatch. Errors are answered by `handle`, in the format of the dialect."""

    authentication_classes: tuple[type[KeyAuthentication], ...] = (KeyAuthentication,)
    throttle_classes = (KeyThrottle,)
    permission_classes = (CallerPermission,)
    parser_classes = (AnyTypeParser,)
    content_negotiation_class = IgnoreAccept
    # Answers have the headers of this dialect only.
    default_response_headers: dict[str, str] = {}

    @property
    def key(self) -> ApiKey:
        return self.request.auth  # type: ignore[return-value]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Replaces DRF's, which checks the method last and permissions before the rate limit: a request from an address
        that is not allowed stores a Rejection, and its sender must not cause more of them than the limit."""
        self.prepare()
        if request.method == "OPTIONS":
            return
        if request.method not in self.allowed_methods:
            raise self.wrong_method()
        self.perform_authentication(request)
        self.check_throttles(request)
        self.admitted_key = self.key
        self.check_permissions(request)

    def throttled(self, request: Request, wait: float) -> None:  # type: ignore[override]
        raise self.too_many_requests(int(wait))

    def get_exception_handler(self) -> Any:
        return handle

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        for name, value in self.cors(request._request).items():
            answer.headers[name] = value
        return answer

    def validated_query(self, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The validated query parameters. Raises Refusal."""
        stated = {name: body.replace_nul(str(value)) for name, value in self.request.query_params.items()}
        validator = serializer(data=stated)
        if validator.is_valid():
            return dict(validator.validated_data)
        message, violations = first_of(validator.errors)
        raise self.error(400, message, violations)

    def validated_body(self, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The validated body. Raises Refusal, with a Rejection."""
        # DRF does not pass an empty body to the parser.
        has_body = body.sent_size(self.request._request) > 0
        payload = self.request.data if has_body else self.decode(b"")
        # DRF has an error of its own for null. It is as little an object as a list.
        validator = serializer(data=[] if payload is None else payload)
        if validator.is_valid():
            return dict(validator.validated_data)
        raise self.content_error(*first_of(validator.errors))


def first_of(errors: Any) -> tuple[str, list[Violation]]:
    """The sentence about a serializer's errors, and its violations; none if they are of the whole request."""
    if whole := errors.get("non_field_errors"):
        return str(whole[0]), []
    violations = [Violation(name, error.code, str(error)) for name, found in errors.items() for error in found]
    return violations[0].message, violations


def handle(error: Exception, context: dict[str, Any]) -> HttpResponseBase:
    """DRF's exception handler: the error in the format of the dialect, once the Rejections of a Refusal are stored."""
    view: PrivacyView = context["view"]
    try:
        if isinstance(error, Refusal) and error.submissions:
            accept_all(error.submissions)
    except Exception as failure:
        return view.answer_error(failure)
    return view.answer_error(error)
