"""Conversions as the values of their serializers. Email addresses are masked unless `addresses`."""

from typing import Any

from audience.api.toolkit.serializers import as_money
from audience.hub.toolkit.masking import masked
from audience.models import Conversion, Join, Touch
from postbacks.models import Delivery, DeliveryAttempt, DeliveryState, PostbackConfig
from postbacks.outbox import reasons
from postbacks.reporting.campaigns.ad_names import names_of
from postbacks.reporting.conversion_detail import ConversionDetail, PostbackDetail
from postbacks.reporting.labels import outcome_label
from postbacks.reporting.modeled_matches import modeled_match_of
from postbacks.reporting.senders import Sender

ATTEMPT_FIELDS = (
    *("id", "number", "started_at", "finished_at", "status", "verdict", "http_status", "latency_ms"),
    *("provider_code", "message", "request_id"),
)


def conversion_values(conversion: Conversion, *, addresses: bool) -> dict[str, Any]:
    """Return the values of a conversion of conversion_rows.with_outcomes, but for its outcomes."""
    return {
        "id": conversion.pk,
        "event": masked(conversion.trigger, addresses=addresses),
        "event_at": conversion.event_at,
        "message_id": masked(conversion.message_id, addresses=addresses),
        "person_id": conversion.person_id,
        "user_id": masked(conversion.user_id, addresses=addresses),
        "order_id": masked(conversion.order_id, addresses=addresses),
        "repeats_order": conversion.repeats_order,
        "value": as_money(conversion.value, conversion.currency),
        "value_problem": conversion.value_problem,
        "test": conversion.test,
        "is_processed": conversion.fanned_out_at is not None,
        "reason": conversion.reason,
        "reason_text": conversion.get_reason_display() if conversion.reason else "",
        "click": _click(conversion.touch, addresses) if conversion.touch else None,
        "modeled_match": _modeled_match(conversion, addresses),
    }


def listed_values(conversion: Conversion, *, addresses: bool) -> dict[str, Any]:
    """Return the values of a conversion of conversion_rows.with_outcomes."""
    outcomes = [outcome_values(row, addresses=addresses) for row in conversion.deliveries.all()]
    return {**conversion_values(conversion, addresses=addresses), "outcomes": outcomes}


def outcome_values(delivery: Delivery, *, addresses: bool) -> dict[str, Any]:
    messages = [attempt.message for attempt in delivery.attempts.all()]
    is_accepted = delivery.state == DeliveryState.DELIVERED
    return {
        "delivery_id": delivery.pk,
        "postback_id": delivery.config_id,
        "network": delivery.network,
        "pixel_id": delivery.config.pixel_id,
        "state": delivery.state,
        "reason": delivery.reason,
        "confirmation": delivery.known_confirmation,
        "may_have_arrived": delivery.is_unknown,
        "attempts_made": delivery.attempts_made,
        "finished_at": delivery.finished_at,
        "label": outcome_label(delivery)[0],
        "message": masked(messages[-1], addresses=addresses) if messages and not is_accepted else "",
    }


def detail_values(detail: ConversionDetail, *, addresses: bool) -> dict[str, Any]:
    """Return the values of a conversion with its trail."""
    conversion = detail.conversion
    network = conversion.touch.network if conversion.touch else ""
    return {
        **conversion_values(conversion, addresses=addresses),
        "properties": masked(conversion.properties, addresses=addresses),
        "remedy": reasons.remedy(conversion.reason, network) if conversion.reason else "",
        "problem": detail.stuck,
        "stored_event": {"id": detail.event.pk, "day": detail.event.day} if detail.event else None,
        "sender": _sender(detail.sender),
        "ad": [masked(name, addresses=addresses) for name in names_of(conversion.touch)] if conversion.touch else [],
        "clicks": [
            {
                "network": click.touch.network,
                "click_id": click.click_id,
                "page_url": click.page_url,
                "clicked_at": click.touch.clicked_at,
                "is_attributed": click.is_attributed,
                "result": click.result.value,
                "explanation": click.explanation,
            }
            for click in detail.clicks
        ],
        "joins": [_join(join, addresses) for join in detail.joins],
        "consent": {
            "level": detail.consent.level.value,
            "source": detail.consent.source.value,
            "explanation": detail.consent.explanation,
            "decided_at": detail.consent.decided_at,
            "data_use": detail.data_use,
        },
        "postbacks": [_postback(row, addresses) for row in detail.postbacks],
        "without_part": [_reference(config) for config in detail.without_part] if conversion.touch else [],
        "added_later": [_reference(config) for config in detail.added_later],
    }


def _click(touch: Touch, addresses: bool) -> dict[str, Any]:
    return {
        "network": touch.network,
        "click_id": masked(touch.click_id, addresses=addresses),
        "parameter": touch.parameter,
        "clicked_at": touch.clicked_at,
        "campaign": masked(touch.campaign, addresses=addresses),
    }


def _join(join: Join, addresses: bool) -> dict[str, Any]:
    browser = masked(join.anonymous_id, addresses=addresses)
    return {"kind": join.kind, "anonymous_id": browser, "joined_at": join.joined_at}


def _modeled_match(conversion: Conversion, addresses: bool) -> dict[str, Any] | None:
    match = modeled_match_of(conversion, addresses=addresses)
    if match is None:
        return None
    click = _click(match.touch, addresses) if match.touch else None
    return {"result": match.result.value, "explanation": match.explanation, "click": click}


def _sender(sender: Sender) -> dict[str, Any]:
    key = {name: getattr(sender.key, name) for name in ("id", "name", "prefix", "kind")} if sender.key else None
    return {"key": key, "description": f"{sender.description}.", "origin": sender.origin}


def _postback(sent: PostbackDetail, addresses: bool) -> dict[str, Any]:
    delivery, wait = sent.delivery, sent.wait
    return {
        **outcome_values(delivery, addresses=addresses),
        "label": sent.label,
        "verdict": delivery.verdict,
        "explanation": sent.explanation,
        "remedy": sent.remedy,
        "event_name": sent.event_name,
        "goal": sent.goal,
        "version": delivery.config_version,
        "version_set_at": sent.version.set_at if sent.version else None,
        "version_set_by": sent.set_by,
        "event_id": sent.event_id,
        "deadline": delivery.deadline,
        "next_attempt_at": delivery.next_attempt_at,
        "wait": {"until": wait.until, "cause": wait.cause, "can_end": wait.can_end} if wait else None,
        "can_send_again": sent.can_send_again,
        "attempts": [_attempt(attempt) for attempt in sent.attempts],
        "attempts_pruned": sent.attempts_pruned,
        "body": sent.body,
    }


def _attempt(attempt: DeliveryAttempt) -> dict[str, Any]:
    return {name: getattr(attempt, name) for name in ATTEMPT_FIELDS}


def _reference(config: PostbackConfig) -> dict[str, Any]:
    return {
        "postback_id": config.pk,
        "network": config.network,
        "pixel_id": config.pixel_id,
        "created_at": config.created_at,
    }
