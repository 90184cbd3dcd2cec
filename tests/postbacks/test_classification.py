"""What each known answer of a network ends in: the verdict, the log, the delivery, the config and its health."""

from dataclasses import dataclass
from typing import Any

import pytest

from postbacks.configs import credentials
from postbacks.delivery import sending
from postbacks.models import CredentialCheck, Delivery, DeliveryAttempt, PostbackConfig
from postbacks.monitoring import health
from postbacks.monitoring.health import Health
from postbacks.networks import NETWORKS
from postbacks.reporting import audit
from tests import factories
from tests.postbacks.canned import answering
from tests.postbacks.facts import answers

pytestmark = pytest.mark.django_db

HTML = "<html><head><title>503 Service Unavailable</title></head><body>nginx</body></html>"
NOT_YET_SEEN: list[tuple[str, str, int, Any, str]] = [
    # A gateway's 401 that is a rate limit, and one that says nothing: neither proves a bad token.
    ("tiktok", "rate_limited_http401", 401, {"code": 40100, "message": "Too many requests."}, "transient_rate"),
    ("tiktok", "http401_html", 401, HTML, "transient"),
    ("tiktok", "http403_text", 403, "Forbidden", "transient"),
    ("tiktok", "rate_limited_http429", 429, {"code": 40100, "message": "Too many requests."}, "transient_rate"),
    ("tiktok", "maintenance_page_as_200", 200, HTML, "transient"),
    ("tiktok", "not_json_as_200", 200, "OK", "transient"),
    ("tiktok", "empty_as_200", 200, "", "transient"),
    ("tiktok", "nameless_code", 200, {"code": 99999, "message": "?"}, "transient"),
    ("tiktok", "pixel_of_another", 200, {"code": 40003, "message": "No access."}, "permanent_auth"),
    ("tiktok", "timeout_408", 408, "", "transient"),
    ("reddit", "plain_text_500", 500, "Internal Server Error", "transient"),
    ("reddit", "html_503", 503, HTML, "transient"),
    ("reddit", "page_as_200", 200, HTML, "transient"),
    ("reddit", "plain_text_429", 429, "Too Many Requests", "transient_rate"),
    ("reddit", "plain_text_403", 403, "Forbidden", "permanent_auth"),
    ("reddit", "unknown_pixel", 404, {"error": {"code": 404, "message": "Not Found"}}, "permanent_payload"),
    ("reddit", "timeout_408", 408, "", "transient"),
]
KNOWN = [
    (network, answer["name"], answer["http"], answer["body"], answer["cls"])
    for network, key in (("tiktok", "tiktok"), ("reddit", "reddit_v3"))
    for answer in answers(key)
]
TABLE = [pytest.param(*row, id=f"{row[0]}-{row[1]}") for row in KNOWN + NOT_YET_SEEN]


@dataclass(frozen=True)
class Ending:
    """Verdict and status of the attempt, state of the delivery, and whether the credential came under suspicion."""

    verdict: str
    status: str
    state: str
    suspected: bool = False


ENDINGS = {
    "success": Ending("success", "success", "delivered"),
    "success_partial": Ending("success", "success", "delivered"),
    "permanent_payload": Ending("payload", "failed", "failed"),
    "permanent_auth": Ending("credential", "failed", "waiting", suspected=True),
    "transient": Ending("transient", "retried", "waiting"),
    "transient_rate": Ending("transient", "retried", "waiting"),
}


def a_delivery(network: str) -> Delivery:
    row = factories.config(factories.game(), network=network)
    row.versions.get_or_create(number=row.version, defaults={"triggers": row.triggers, "enabled": True})
    return factories.delivery(row)


def send(network: str, status: int, body: Any, settings: Any) -> Delivery:
    row = a_delivery(network)
    with answering(status, body) as url:
        settings.NETWORK_URLS = dict.fromkeys(NETWORKS, url)
        sending.drain(network=network, lanes=0, seconds=5)
    row.refresh_from_db()
    return row


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The lines about attempts."""
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [line for line in lines if line["event"] == "delivery_attempted"]


@pytest.mark.parametrize(("network", "name", "status", "body", "cls"), TABLE)
def test_each_answer_ends_in_its_class(
    network: str, name: str, status: int, body: Any, cls: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ending = ENDINGS[cls]
    row = send(network, status, body, settings)

    attempt = DeliveryAttempt.objects.get()
    assert (attempt.verdict, attempt.status, attempt.http_status) == (ending.verdict, ending.status, status)
    assert attempt.finished_at is not None
    assert attempt.message
    assert (row.state, row.verdict, row.leased_until) == (ending.state, ending.verdict, None)
    assert (row.finished_at is None) == (row.state == "waiting")
    assert (row.next_attempt_at is not None) == (row.state == "waiting")
    config = PostbackConfig.objects.get()
    assert (config.suspected_at is not None, config.held_at) == (ending.suspected, None)

    # An answer about the credential is the config's trouble, every other one is not.
    assert (health.of([config])[config.pk].health == Health.CREDENTIAL_PROBLEM) == ending.suspected

    (line,) = told(caplog)
    assert (line["verdict"], line["code"], line["http_status"]) == (
        ending.verdict,
        attempt.provider_code or None,
        status,
    )
    assert (line["network"], line["attempt"], line["delivery_id"]) == (network, 1, str(row.pk))
    assert audit.run(days=0).violations == []


@pytest.mark.parametrize(
    ("network", "name", "status", "body"),
    [pytest.param(*row.values[:4], id=row.id) for row in TABLE if row.values[4] == "permanent_auth"],
)
def test_a_refused_credential_refused_again_is_on_hold_and_costs_the_delivery_nothing(
    network: str, name: str, status: int, body: Any, settings: Any
) -> None:
    row = send(network, status, body, settings)
    with answering(status, body) as url:
        settings.NETWORK_URLS = dict.fromkeys(NETWORKS, url)
        (check,) = CredentialCheck.objects.pending()
        credentials.run_check(check_id=str(check.pk))
    row.refresh_from_db()
    assert (row.state, row.finished_at, row.next_attempt_at) == ("held", None, None)
    config = PostbackConfig.objects.get()
    assert (config.held_at is not None, config.suspected_at) == (True, None)
    assert config.held_for in ("token", "pixel")
    assert health.of([config])[config.pk].health == Health.ON_HOLD
    assert DeliveryAttempt.objects.count() == 1
    assert audit.run(days=0).violations == []
