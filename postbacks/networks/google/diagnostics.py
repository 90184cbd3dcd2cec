"""The result of an event, from `requestStatus:retrieve`: what Google made of it after its receipt."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from postbacks.networks.google import answers
from postbacks.networks.interface.answers import decode_json
from postbacks.networks.interface.call import Outcome, Response, Verdict

PREFIXES = ("PROCESSING_ERROR_REASON_", "PROCESSING_ERROR_")
RESEND_AFTER = timedelta(hours=6)  # how old a click must be; also how long to wait after a new conversion action
NO_RESULT = Outcome(Verdict.TRANSIENT, None, "Google Ads has not processed the event yet.")
UNREADABLE = Outcome(Verdict.TRANSIENT, None, "Google Ads did not return a readable result.")

DUPLICATE_TRANSACTION, DUPLICATE_CLICK = "DUPLICATE_TRANSACTION_ID", "DUPLICATE_GCLID"
UNMATCHED = ("CLICK_NOT_FOUND", "USER_ID_NOT_FOUND")
# Reason -> its explanation. The list is open: Google adds reasons.
AGAIN = {
    "TOO_RECENT_CLICK": "The click is too recent for Google Ads.",
    "DESTINATION_TOO_RECENTLY_CREATED": "The conversion action was created too recently.",
    "INTERNAL_ERROR": "Google Ads had an internal error.",
}
REFUSALS = {
    "CLICK_NOT_FOUND": "Google Ads does not know a click with this ID.",
    "USER_ID_NOT_FOUND": "Google Ads does not know a user with this email or phone number.",
    DUPLICATE_CLICK: "Google Ads has another conversion of this click at this time, under another transaction ID.",
    "EVENT_TOO_OLD": "The event is too old for its conversion action. Check its click-through window.",
    "INVALID_GCLID": "The gclid is not valid.",
    "INVALID_GBRAID": "The gbraid is not valid.",
    "INVALID_WBRAID": "The wbraid is not valid.",
    "INVALID_CLICK": "The click did not come from a campaign of Google Ads.",
    "INVALID_AD_IDENTIFIERS": "The identifiers of the click are not valid.",
    "CONVERSION_PRECEDES_CLICK": "The event happened before the click.",
    "INVALID_EVENT": "The event is not valid.",
    "INVALID_FORMAT": "A field of the event has an invalid format.",
    "DENIED_CONSENT": "The player denied consent.",
    "UNKNOWN_CONSENT": "Google Ads could not read the consent of the player.",
    "NO_CONSENT": "Google Ads has no consent for this player. Check the consent settings of the account.",
    "OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER": "The click belongs to another account. Check the customer ID.",
    "INVALID_OPERATING_ACCOUNT_FOR_CLICK": "The click belongs to another account. Check the customer ID.",
    "ONE_PER_CLICK_CONVERSION_ACTION_NOT_PERMITTED_WITH_BRAID": (
        "The conversion action counts one conversion per click, which is not possible with gbraid and wbraid. Set its "
        "count to “Every”."
    ),
    "EXTERNAL_ATTRIBUTION_DATA_MISSING": "The conversion action is for external attribution. Create another one.",
}


def classify(response: Response, *, repeated: bool) -> Outcome:
    """`repeated`: the event was sent before, so that a duplicate may be that one."""
    if response.status != 200:
        outcome = answers.classify(response)
        # A refused query says nothing about the event.
        is_undecided = outcome.verdict in (Verdict.CREDENTIAL, Verdict.TRANSIENT)
        return outcome if is_undecided else replace(outcome, verdict=Verdict.TRANSIENT, access=None)
    entry = _entry(decode_json(response))
    if entry is None:
        return UNREADABLE
    reasons = _reasons(entry)
    match entry.get("requestStatus"):
        case "SUCCESS":
            return Outcome(Verdict.SUCCESS, None, "Counted")
        case "FAILED" | "FAILURE":  # the pages and the type differ
            return _failed(next(iter(reasons), ""), repeated=repeated)
        case "PARTIAL_SUCCESS" if reasons:  # a request has one event
            return _failed(reasons[0], repeated=repeated)
    return NO_RESULT


def _failed(reason: str, *, repeated: bool) -> Outcome:
    if reason == DUPLICATE_TRANSACTION or (reason == DUPLICATE_CLICK and repeated):
        return Outcome(Verdict.SUCCESS, reason, "Already counted with the same data.")
    if _is_passing(reason):
        return Outcome(Verdict.PAYLOAD, reason, AGAIN.get(reason, f"{reason}."), resend_after=RESEND_AFTER)
    if not reason:
        return Outcome(Verdict.PAYLOAD, None, "Google Ads did not count the event and gave no reason.")
    unknown = f"Google Ads did not count the event, for an unknown reason: {reason}."
    return Outcome(Verdict.PAYLOAD, reason, REFUSALS.get(reason, unknown), unmatched=reason in UNMATCHED)


def _is_passing(reason: str) -> bool:
    return reason in AGAIN or reason.endswith("_TOO_RECENTLY_CREATED")


def _entry(body: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The status of the only destination."""
    entries = body.get("requestStatusPerDestination") if body else None
    entry = entries[0] if isinstance(entries, list) and entries else None
    return entry if isinstance(entry, dict) else None


def _reasons(entry: Mapping[str, Any]) -> list[str]:
    info = entry.get("errorInfo")
    counts = info.get("errorCounts") if isinstance(info, dict) else None
    items = counts if isinstance(counts, list) else []
    return [_bare(str(item["reason"])) for item in items if isinstance(item, dict) and item.get("reason")]


def _bare(reason: str) -> str:
    prefix = next((prefix for prefix in PREFIXES if reason.startswith(prefix)), "")
    return reason.removeprefix(prefix)
