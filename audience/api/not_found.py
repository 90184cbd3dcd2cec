"""Addresses below /api/v1/ that do not exist."""

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema

from audience.api.toolkit import problems
from audience.api.toolkit.authentication import TokenAuthentication
from audience.api.toolkit.throttling import LimitedView


@extend_schema(exclude=True)
class NotFoundView(LimitedView):
    """Answers 404 as a problem; without a token 401."""

    authentication_classes = (TokenAuthentication,)
    permission_classes = ()

    def get_exception_handler(self) -> Any:
        return problems.handle

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        raise Http404
