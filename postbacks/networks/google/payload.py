"""The body of `events:ingest`: one event, to the conversion action of its goal."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from postbacks.networks.interface import values
from postbacks.networks.interface.call import Target
from postbacks.networks.interface.facts import Consent, Facts

# Google Ads has no event names: the pages show these, and the conversion action of the goal counts.
EVENTS = {"game_launch": "Conversion action of game launches", "purchase": "Conversion action of purchases"}
PURCHASE = "purchase"
# Click parameters, which are names of fields too. Google Ads takes no dclid.
CLICK_IDS = ("gclid", "gbraid", "wbraid")
# 2 to 64 characters without personal data.
TRANSACTION_ID = re.compile(r"[A-Za-z0-9._:-]{2,64}")
GMAIL = frozenset({"gmail.com", "googlemail.com"})
MAX_IDENTIFIERS = 10
MAX_DESTINATIONS = 10


def body(target: Target, facts: Facts) -> dict[str, Any]:
    """ValueError for an event without conversion action or usable click ID."""
    if not facts.object_id:
        raise ValueError("no conversion action")
    return _envelope(target, [facts.object_id], event(target, facts), validate_only=target.is_test)


def check_body(target: Target, *, event_id: str, now: datetime) -> dict[str, Any]:
    """An event that is validated and not recorded, for the conversion actions of all goals."""
    synthetic = {
        "eventTimestamp": timestamp(now),
        "transactionId": transaction_id(event_id),
        "eventSource": "WEB",
        "adIdentifiers": {"gclid": "afterclick-check"},
        "conversionValue": 0,
        "currency": "USD",
    }
    return _envelope(target, target.object_ids[:MAX_DESTINATIONS], synthetic, validate_only=True)


def _envelope(
    target: Target, actions: Iterable[str], event: Mapping[str, Any], *, validate_only: bool
) -> dict[str, Any]:
    return values.without_blanks(
        {
            "destinations": [_destination(target, number, action) for number, action in enumerate(actions, 1)],
            "events": [event],
            "encoding": "HEX" if "userData" in event else None,
            "validateOnly": validate_only or None,
        }
    )


def _destination(target: Target, number: int, action: str) -> dict[str, Any]:
    """Without a login account, Google takes the operating account for it."""
    login = digits(target.credential.get("login_account", ""))
    return values.without_blanks(
        {
            "reference": f"d{number}",
            "operatingAccount": account(target.pixel_id),
            "loginAccount": account(login) if login else None,
            "productDestinationId": action,
        }
    )


def account(customer_id: str) -> dict[str, str]:
    return {"accountType": "GOOGLE_ADS", "accountId": digits(customer_id)}  # text: a number is refused


def digits(customer_id: str) -> str:
    """A customer ID as Google Ads shows it, 123-456-7890, without dashes."""
    return customer_id.strip().replace("-", "")


def event(target: Target, facts: Facts) -> dict[str, Any]:
    """The value is 0 for a purchase that states none: without a value Google counts the default of the action."""
    pair = values.money(facts.value, facts.currency)
    identifiers = user_identifiers(facts) if target.credential.get("contacts") == "yes" else []
    return values.without_blanks(
        {
            "eventTimestamp": timestamp(facts.event_at),
            "transactionId": transaction_id(facts.event_id),
            "eventSource": "WEB",  # optional by the documents; without it the request is refused (observed)
            "adIdentifiers": ad_identifiers(facts),
            "userData": {"userIdentifiers": identifiers} if identifiers else None,
            "conversionValue": pair[0] if pair else 0 if facts.trigger == PURCHASE else None,
            "currency": pair[1] if pair else None,
            "consent": consent(facts),
        }
    )


def click_id(facts: Facts) -> tuple[str, str] | None:
    """(field, value) of the click ID, as it came; None for one that Google Ads does not take."""
    field, value = facts.click_parameter or CLICK_IDS[0], values.text(facts.click_id)
    return (field, value) if value and field in CLICK_IDS else None


def ad_identifiers(facts: Facts) -> dict[str, Any]:
    """The address is left out: Google asks for none of players in the EEA, the UK and Switzerland."""
    pair = click_id(facts)
    if pair is None:
        raise ValueError("no click ID of Google Ads")
    agent = values.text(facts.user_agent)
    return {pair[0]: pair[1], **({"landingPageDeviceInfo": {"userAgent": agent}} if agent else {})}


def user_identifiers(facts: Facts) -> list[dict[str, str]]:
    """Hashes that the sender made are used for phone numbers only, since Google has a rule of its own for emails."""
    if facts.consent and facts.consent.ad_user_data is False:
        return []
    emails = _hashes(email(address) for address in (facts.email, *facts.more_emails))
    phones = _hashes(values.phone(number) for number in (facts.phone, *facts.more_phones))
    if facts.hashes.phone:
        phones = [facts.hashes.phone]
    found = [{"emailAddress": value} for value in emails] + [{"phoneNumber": value} for value in phones]
    return found[:MAX_IDENTIFIERS]


def _hashes(contacts: Iterator[str | None]) -> list[str]:
    return list(dict.fromkeys(hashed for contact in contacts if (hashed := values.sha256(contact))))


def email(address: str | None) -> str | None:
    """In lower case; of Gmail without dots and without "+" and what follows it."""
    whole = values.email(address)
    user, _, domain = (whole or "").rpartition("@")
    if domain not in GMAIL:
        return whole
    user = user.partition("+")[0].replace(".", "")
    return f"{user}@{domain}" if user else None


def consent(facts: Facts) -> dict[str, str]:
    """Granted with full consent unless the event denies it; without full consent the setting of the account holds."""
    stated = facts.consent or Consent()
    flags = {"adUserData": stated.ad_user_data, "adPersonalization": stated.ad_personalization}
    return {name: status for name, flag in flags.items() if (status := _status(flag, facts.has_full_consent))}


def _status(flag: bool | None, has_full_consent: bool) -> str | None:
    if flag is False:
        return "CONSENT_DENIED"
    return "CONSENT_GRANTED" if has_full_consent else None


def timestamp(moment: datetime) -> str:
    """RFC 3339 with milliseconds: two purchases of one click in a second differ. ValueError without UTC offset."""
    if moment.utcoffset() is None:
        raise ValueError("event_at has no UTC offset")
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def transaction_id(event_id: str) -> str:
    """The event ID; its SHA-256 if it is longer or has other characters."""
    return event_id if TRANSACTION_ID.fullmatch(event_id) else hashlib.sha256(event_id.encode()).hexdigest()


def repeated(first: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> dict[str, Any]:
    """The first body, to the present accounts, without what consent allows no more.

    Google overwrites value and currency by those of a repeat, and ignores the rest.
    """
    before, now = dict(first["events"][0]), rebuilt["events"][0]
    if "userData" not in now:
        before.pop("userData", None)
    if "landingPageDeviceInfo" not in now["adIdentifiers"]:
        before["adIdentifiers"] = now["adIdentifiers"]
    before["consent"] = now.get("consent")
    return values.without_blanks(
        {
            **rebuilt,
            "events": [values.without_blanks(before)],
            "encoding": "HEX" if "userData" in before else None,
        }
    )
