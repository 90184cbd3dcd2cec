"""What an event states about privacy: consent strings, and whether networks may use its data in a limited way only.

Read from its context and properties, and from the object `consent` or `privacy` in either. Any JSON value is accepted;
what cannot be used is ignored.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from postbacks.networks.interface.facts import Consent, DataUse

T = TypeVar("T")

MAX_TEXT = 2048  # a TC string with many vendors has a thousand characters
HOLDERS = ("consent", "privacy")
# Field of Consent -> its names in events.
CONSENT_STRINGS = {
    "tcf": ("tc_string", "tcString", "tcf", "tcf_string", "tcfString", "gdpr_consent"),
    "gpp": ("gpp", "gpp_string", "gppString"),
    "gpp_sid": ("gpp_sid", "gppSid"),
    "us_privacy": ("us_privacy", "usPrivacy", "uspString"),
}
CONSENT_FLAGS = {
    "gdpr": ("gdpr", "gdpr_applies", "gdprApplies"),
    "ad_user_data": ("ad_user_data", "adUserData"),
    "ad_personalization": ("ad_personalization", "adPersonalization"),
}
FLAGS = dict.fromkeys(("true", "1", "1.0", "yes", "granted"), True)
FLAGS |= dict.fromkeys(("false", "0", "0.0", "no", "denied"), False)
LIMITED = ("limited_data_use", "limitedDataUse")
OPTIONS = ("data_processing_options", "dataProcessingOptions")
LIMITED_MODE = "LDU"
# Global Privacy Control (https://www.w3.org/TR/gpc/), also under the name of its HTTP header.
GPC = ("gpc", "global_privacy_control", "globalPrivacyControl", "sec_gpc", "Sec-GPC")
# The IAB US Privacy string: version, notice given, opted out of sale, limited service provider agreement.
OPTED_OUT_OF_SALE = re.compile(r"1[YN-]Y[YN-]", re.IGNORECASE)
# Meta's numbers for countries and states; 0 means that the network decides.
COUNTRIES, STATES = {"1": "US"}, {"1000": "US-CA"}
COUNTRY, REGION = re.compile(r"[A-Z]{2}"), re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")


def consent(context: Any, properties: Any) -> Consent | None:
    """The consent that an event states; None when it states none."""
    sources = _sources(context, properties)
    values: dict[str, Any] = {name: _first(sources, names, _text) for name, names in CONSENT_STRINGS.items()}
    values |= {name: _first(sources, names, _flag) for name, names in CONSENT_FLAGS.items()}
    stated = {name: value for name, value in values.items() if value is not None}
    return Consent(**stated) if stated else None


def data_use(context: Any, properties: Any, *, always_limited: bool) -> DataUse | None:
    """Whether networks may use the data in a limited way only; None if neither the event nor the game's rule says so.

    Any statement of it counts, so that an event cannot lift the rule or its own GPC signal.
    """
    sources = _sources(context, properties)
    stated = {*_values(sources, LIMITED, _flag), *_values(sources, OPTIONS, _has_limited_mode)}
    opted_out = any(map(OPTED_OUT_OF_SALE.fullmatch, _values(sources, CONSENT_STRINGS["us_privacy"], _text)))
    if not (always_limited or True in stated or opted_out or True in _values(sources, GPC, _flag)):
        return DataUse(limited=False) if False in stated else None
    option = _first(sources, OPTIONS, _object) or {}
    country = _first(sources, ("data_processing_options_country",), _text) or ""
    state = _first(sources, ("data_processing_options_state",), _text) or ""
    code = _code(option.get("country"), COUNTRY) or COUNTRIES.get(country)
    region = _code(option.get("region"), REGION) or _code(f"{code}-{option.get('region')}", REGION) or STATES.get(state)
    return DataUse(limited=True, country=code, region=region)


def _sources(context: Any, properties: Any) -> list[dict[str, Any]]:
    """The objects that may have a statement, the most specific first."""
    outer = [_object(context) or {}, _object(properties) or {}]
    inner = [_object(fields.get(name)) for fields in outer for name in HOLDERS]
    return [*filter(None, inner), *outer]


def _values(sources: Sequence[Mapping[str, Any]], names: Iterable[str], read: Callable[[Any], T | None]) -> Iterator[T]:
    """The results of `read` for the values of these names, without None."""
    found = (read(source.get(name)) for source in sources for name in names)
    return (value for value in found if value is not None)


def _first(sources: Sequence[Mapping[str, Any]], names: Iterable[str], read: Callable[[Any], T | None]) -> T | None:
    return next(_values(sources, names, read), None)


def _has_limited_mode(raw: Any) -> bool | None:
    """Whether `["LDU"]`, `"LDU"` or `{"modes": ["LDU"]}` has the mode. An empty list switches it off."""
    modes = raw.get("modes") if isinstance(raw, dict) else raw
    if isinstance(modes, str):
        modes = modes.split(",")
    return any(str(mode).strip().upper() == LIMITED_MODE for mode in modes) if isinstance(modes, list) else None


def _code(raw: Any, pattern: re.Pattern[str]) -> str | None:
    """A code in upper case; None for anything else."""
    text = (_text(raw) or "").upper()
    return text if pattern.fullmatch(text) else None


def _flag(raw: Any) -> bool | None:
    return FLAGS.get(str(raw).strip().lower())


def _object(raw: Any) -> dict[str, Any] | None:
    return raw if isinstance(raw, dict) else None


def _text(raw: Any) -> str | None:
    """Trimmed text of a string or an integer; None for blanks, other types and longer text."""
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        return None
    text = str(raw).strip()
    return text if 0 < len(text) <= MAX_TEXT else None
