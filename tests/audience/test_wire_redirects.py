"""No wire route redirects: a redirected POST loses its body, and an SDK its data."""

from typing import Any

import pytest
from django.test import Client

from audience.intake.openapi import ingestion_document

PATHS = sorted(path.replace("{key}", "k") for path in ingestion_document()["paths"])


@pytest.mark.parametrize("spelling", ["http://testserver{}", "http://testserver/{}", "http://testserver{}/"])
@pytest.mark.parametrize("path", PATHS)
def test_wire_routes_of_a_portal_on_https_accept_plain_http(settings: Any, path: str, spelling: str) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert Client().options(spelling.format(path)).status_code == 204
    assert Client().get("/accounts/login/").status_code == 301
