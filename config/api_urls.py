"""The management API, below /api/v1/."""

from django.urls import include, path, re_path

from audience.api.not_found import NotFoundView

urlpatterns = [
    path("", include("audience.api.urls")),
    path("", include("postbacks.api.urls")),
    re_path(r"", NotFoundView.as_view()),
]
