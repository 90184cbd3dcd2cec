"""The effects of each known answer of a network: verdict, log, delivery, postback and its health."""

from dataclasses import dataclass
from typing import Any

import pytest

from postbacks.configs import credentials
from postbacks.delivery import sending
from postbacks.models import CredentialCheck, Delivery, DeliveryAttempt, PostbackConfig
from postbacks.monitoring.health.evaluation import evaluate_configs
from postbacks.monitoring.health.types import Health
from postbacks.networks import NETWORKS
from postbacks.reporting import audit
from tests import factories
from tests.network_urls import point_at
from tests.postbacks.canned import answering
from tests.postbacks.facts import answers

pytestmark = pytest.mark.django_db

TABLE = [
    pytest.param(kind, answer["status"], answer["body"], answer["verdict"], id=f"{kind}-{answer['name']}")
    for kind in NETWORKS
    for answer in answers(kind)
    if not answer.get("of_check")  # never the answer to an event
]


@dataclass(frozen=True)
class Ending:
    """Verdict and status of the attempt, state of the delivery, and whether the credential came under suspicion."""

    verdict: str
    status: str
    state: str
    suspected: bool = False


ENDINGS = {
    "SUCCESS": Ending("success", "success", "delivered"),
    "PAYLOAD": Ending("payload", "failed", "failed"),
    "CREDENTIAL": Ending("credential", "failed", "waiting", suspected=True),
    "TRANSIENT": Ending("transient", "retried", "waiting"),
}


def a_delivery(network: str) -> Delivery:
    row = factories.config(factories.game(), network=network)
    row.versions.get_or_create(number=row.version, defaults={"triggers": row.triggers, "enabled": True})
    return factories.delivery(row)


def send(network: str, status: int, body: Any, settings: Any) -> Delivery:
    row = a_delivery(network)
    with answering(status, body) as url:
        point_at(settings, url)
        sending.drain(network=network, max_in_flight=1, seconds=5)
    row.refresh_from_db()
    return row


def attempt_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The log lines about attempts."""
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [line for line in lines if line["event"] == "delivery_attempted"]


@pytest.mark.long
@pytest.mark.parametrize(("network", "status", "body", "verdict"), TABLE)
def test_a_known_answer_leads_to_the_attempt_delivery_and_health_of_its_verdict(
    network: str, status: int, body: Any, verdict: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ending = ENDINGS[verdict]
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
    assert (evaluate_configs([config])[config.pk].health == Health.CREDENTIAL_PROBLEM) == ending.suspected

    (line,) = attempt_lines(caplog)
    assert (line["verdict"], line["code"], line["http_status"]) == (
        ending.verdict,
        attempt.provider_code or None,
        status,
    )
    assert (line["network"], line["attempt"], line["delivery_id"]) == (network, 1, str(row.pk))
    assert audit.run(days=0).violations == []


@pytest.mark.parametrize(
    ("network", "status", "body"),
    [pytest.param(*row.values[:3], id=row.id) for row in TABLE if row.values[3] == "CREDENTIAL"],
)
def test_a_credential_refused_twice_holds_the_postback_and_its_delivery(
    network: str, status: int, body: Any, settings: Any
) -> None:
    row = send(network, status, body, settings)
    with answering(status, body) as url:
        point_at(settings, url)
        (check,) = CredentialCheck.objects.pending()
        credentials.run_check(check_id=str(check.pk))
    row.refresh_from_db()
    assert (row.state, row.finished_at, row.next_attempt_at) == ("held", None, None)
    config = PostbackConfig.objects.get()
    assert (config.held_at is not None, config.suspected_at) == (True, None)
    assert config.held_for in ("token", "pixel")
    assert evaluate_configs([config])[config.pk].health == Health.ON_HOLD
    assert DeliveryAttempt.objects.count() == 1
    assert audit.run(days=0).violations == []
