"""The URLs of the site, and one whose view raises an error."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from config.urls import urlpatterns as site_urlpatterns


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("A page that breaks.")


urlpatterns = [*site_urlpatterns, path("broken/", broken)]
