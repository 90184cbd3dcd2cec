"""The facts of one conversion, the input of a network's `build`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a purchase; `price` is per unit, in the conversion's currency."""

    id: str | None = None
    name: str | None = None
    category: str | None = None
    price: Decimal | None = None
    quantity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What the event states about consent, as it was sent: None where it states nothing.

    `tcf` is the IAB TC string, `gdpr` whether GDPR applies, `gpp` the IAB GPP string with its section ids, `us_privacy`
    the IAB US Privacy string; the last two are Google's consent mode.
    """

    tcf: str | None = None
    gdpr: bool | None = None
    gpp: str | None = None
    gpp_sid: str | None = None
    us_privacy: str | None = None
    ad_user_data: bool | None = None
    ad_personalization: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashes:
    """SHA-256 hashes that the sender made, as 64 lower-case hex digits, where the event states no address or number as
    closely. They are sent as they are to a network that hashes in the same way, and to no other.

    `email` is of the trimmed address in lower case, `canonical_email` of its canonical form (without +tag, and with
    letters and digits only), `phone` of the number in E.164.
    """

    email: str | None = None
    canonical_email: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The postal address of a player; `country` is two letters (ISO 3166-1 alpha-2)."""

    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvertisingId:
    """The advertising ID of a device, as it was sent: `idfa` of Apple, or `aaid` of Android."""

    idfa: str | None = None
    aaid: str | None = None


@dataclass(frozen=True, slots=True)
class Screen:
    """The size of a screen in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataUse:
    """Whether networks may use the data of the event in a limited way only, as laws of US states demand.

    `country` (ISO 3166-1 alpha-2) and `region` (ISO 3166-2: US-CA) name the law; None: the network decides by itself.
    """

    limited: bool
    country: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The data of one conversion that a network may receive: unhashed, and limited to what consent allows.

    `trigger` is the event's name, `sent_as` the network's name for it ('' for the usual one), `object_id` the network's
    object that the goal reports to. `event_id` is the same on every attempt. `event_at` and `clicked_at` are aware.
    `click_parameter` is the name of the parameter in which `click_id` came (gclid, gbraid).
    `email` is an address, and `phone` a number in E.164; a text that is neither is the value as it was sent, and is
    not sent on. `more_emails` and `more_phones` are others that the event states beside it. `external_id` is a user
    id. `cookies` are the network's, by their names in the browser. `ip` and `user_agent` are those of the click.
    Without `has_full_consent` no personal data is set.
    """

    trigger: str
    sent_as: str = ""
    object_id: str | None = None
    event_id: str
    event_at: datetime
    clicked_at: datetime | None = None
    click_id: str | None = None
    click_parameter: str | None = None
    cookies: Mapping[str, str] = field(default_factory=dict)
    email: str | None = None
    phone: str | None = None
    more_emails: tuple[str, ...] = ()
    more_phones: tuple[str, ...] = ()
    hashes: Hashes = Hashes()
    name: Name | None = None
    address: Address | None = None
    external_id: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    advertising_id: AdvertisingId | None = None
    screen: Screen | None = None
    locale: str | None = None
    page_url: str | None = None
    referrer: str | None = None
    value: Decimal | None = None
    currency: str | None = None
    order_id: str | None = None
    items: tuple[Item, ...] = ()
    has_full_consent: bool = False
    consent: Consent | None = None
    data_use: DataUse | None = None
