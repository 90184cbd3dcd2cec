"""The site's addresses, and one more whose view breaks."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from config.urls import urlpatterns as of_the_site


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("A page that breaks.")


urlpatterns = [*of_the_site, path("broken/", broken)]
