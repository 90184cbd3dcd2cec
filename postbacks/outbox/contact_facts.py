"""Reads the email and the phone number of a player from traits and properties, which are free-form JSON.

Of several sources the closest one counts: the traits of the event, its properties, the traits of the player. Within a
source a value in the clear precedes a hash.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from postbacks.networks.interface.contacts import read_email, read_hash, read_phone, read_region
from postbacks.networks.interface.facts import Hashes
from postbacks.outbox.json_objects import address_of, as_object

# The names of a contact, the usual one first. Each may hold it in the clear or as a hash.
EMAIL = (
    *("email", "email_address", "emailAddress", "em", "email_hash", "emailHash", "hashed_email", "hashedEmail"),
    *("sha256_email_address", "sha256_email", "email_sha256"),
)
PHONE = (
    *("phone", "phone_number", "phoneNumber", "ph", "phone_hash", "phoneHash", "hashed_phone", "hashedPhone"),
    *("hashed_phone_number", "sha256_phone_number", "sha256_phone", "phone_sha256"),
)
# Hashes of an email in its canonical form: without dots and +tag.
CANONICAL_EMAIL = ("canonical_email_hash", "email_canonical_hash", "hashed_canonical_email", "sha256_canonical_email")
# The country of a player, in the trait `address` or beside it. A locale is none: it tells the language of a machine,
# and en-US is the default of machines everywhere.
COUNTRY = ("country", "country_code", "countryCode")
MAX_TEXT = 1024
MAX_VALUES = 5  # of one field

Source = Mapping[str, Any]


def read_contacts(context: Source, properties: Source, person_traits: Any) -> dict[str, Any]:
    """Return `email`, `phone`, `more_emails`, `more_phones` and `hashes` of Facts."""
    person = as_object(person_traits)
    # `user` is where TikTok's first API and the mappings for it have contacts.
    old = [as_object(holder.get("user")) for holder in (context, as_object(properties.get("context")))]
    stated = [as_object(context.get("traits")), properties, as_object(properties.get("user_data"))]
    sources = [*stated, *old, person]
    country = _region(person)
    emails, email_hash, canonical_hash = _closest(
        sources, EMAIL, lambda text, source: read_email(text), canonical_names=CANONICAL_EMAIL
    )
    phones, phone_hash, _ = _closest(sources, PHONE, lambda text, source: read_phone(text, _region(source) or country))
    hashes = Hashes(email=email_hash, canonical_email=canonical_hash, phone=phone_hash)
    return {
        "email": next(iter(emails), None),
        "phone": next(iter(phones), None),
        "more_emails": tuple(emails[1:]),
        "more_phones": tuple(phones[1:]),
        "hashes": hashes,
    }


def _closest(
    sources: Sequence[Source],
    names: Sequence[str],
    read: Callable[[str, Source], str | None],
    *,
    canonical_names: Sequence[str] = (),
) -> tuple[list[str], str | None, str | None]:
    """Return (contacts, hash, canonical hash): hashes only of sources that are closer than the contacts.

    The contacts are of one source. Without any that `read` recognizes, the first text that is no hash either.
    """
    stated: str | None = None
    hashed: str | None = None
    canonical: str | None = None
    for source in sources:
        texts = list(_texts(source, names))
        contacts = list(dict.fromkeys(filter(None, (read(text, source) for text in texts))))
        if contacts:
            return contacts[:MAX_VALUES], hashed, canonical
        hashed = hashed or next(filter(None, map(read_hash, texts)), None)
        canonical = canonical or next(filter(None, map(read_hash, _texts(source, canonical_names))), None)
        stated = stated or next((text for text in texts if not read_hash(text)), None)
    return [stated] if stated else [], hashed, canonical


def _texts(source: Source, names: Sequence[str]) -> Iterator[str]:
    """Yield the texts of these fields, each of which may be a list."""
    for name in names:
        value = source.get(name)
        for item in value[:MAX_VALUES] if isinstance(value, list) else [value]:
            if isinstance(item, str | int | float) and not isinstance(item, bool):
                text = str(item).strip()
                if 0 < len(text) <= MAX_TEXT:
                    yield text


def _region(source: Source) -> str:
    """Return the region that a source states; '' for none."""
    countries = (read_region(holder.get(name)) for holder in (address_of(source), source) for name in COUNTRY)
    return next(filter(None, countries), "")
