"""Recognises emails, phone numbers, addresses and hashes as people and SDKs write them.

What is not recognized is None: a value that is cleaned until it fits belongs to nobody, or to somebody else.
"""

import hashlib
import ipaddress
import re
import unicodedata
from email.utils import getaddresses
from urllib.parse import unquote

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult

from audience.ids.values import PLACEHOLDER_IDS, clean, is_storable

MAX_LENGTH = 320  # of an email (RFC 3696, errata)
MAX_USER_LENGTH = 64
# Of comments, Alice (at work) <...>, and groups, Team: alice@...: the parser of the standard library recurses for each.
MAX_NESTED = 10
PLAIN_EMAIL = re.compile(r"[^\s\"(),:;<>@\[\\\]]+@[^\s\"(),:;<>@\[\\\]]+")
DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z][a-z0-9-]{0,61}[a-z0-9])")
# IDNA 2003, as in the standard library, would replace these: straße.example is another domain than strasse.example.
DEVIATIONS = frozenset("ßς\u200c\u200d")
# A number that a program turned into a float: 15554441234.0, 1.5554441234e10.
FLOAT = re.compile(r"\+?(\d{5,}\.\d|\d(\.\d+)?e\+?\d+)", re.IGNORECASE)
LETTERS = re.compile(r"[^\W\d_]+")
PHONE_WORDS = frozenset({"tel", "ext", "extn", "extension", "x", "int", "anexo", "доб"})
INTERNATIONAL = re.compile(r"(tel:)?\+", re.IGNORECASE)
SHA256_HEX = re.compile(r"[0-9a-f]{64}")
HASH_PREFIX = "sha256:"
# Hashes of nothing: senders hash a missing email too.
EMPTY_HASHES = frozenset(hashlib.sha256(text.encode()).hexdigest() for text in ("", *PLACEHOLDER_IDS))
# Addresses that no server on the internet sees: they say nothing about the player. The ranges of documentation are not
# among them, so that an example looks like an address.
NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.168.0.0/16", "224.0.0.0/3", "::/96", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
        ),
    )
)


def read_email(text: str) -> str | None:
    """The first address of `Alice <alice@example.com>`, `mailto:`, a list and the like; the domain in lower case and
    ASCII (bücher.example is xn--bcher-kva.example), the user part as it was sent."""
    text = clean(text)
    if text[:7].lower() == "mailto:":
        text = clean(unquote(text[7:].partition("?")[0]))
    if PLAIN_EMAIL.fullmatch(text):
        return _email(text)
    if "@" not in text or text.count("(") + text.count(":") > MAX_NESTED:
        return None
    listed = text if '"' in text else text.replace(";", ",")
    # The parser of the standard library removes spaces from an address, and is right only where there are none.
    addresses = (address for _, address in getaddresses([listed]) if PLAIN_EMAIL.fullmatch(address) and address in text)
    return next(filter(None, map(_email, addresses)), None)


def _email(address: str) -> str | None:
    user, _, domain = unicodedata.normalize("NFC", address).rpartition("@")
    ascii_domain = _domain(domain)
    if ascii_domain is None or not is_storable(user) or len(user) > MAX_USER_LENGTH:
        return None
    return f"{user}@{ascii_domain}" if len(user) + len(ascii_domain) < MAX_LENGTH else None


def _domain(domain: str) -> str | None:
    domain = domain.removesuffix(".").lower()
    if not domain.isascii():
        if not DEVIATIONS.isdisjoint(domain):
            return None
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            return None
    return domain if DOMAIN.fullmatch(domain) else None


def read_phone(text: str, region: str = "") -> str | None:
    """E.164 (`+442079460958`) of `+44 (0)20 7946 0958`, `tel:`, `0044...` and the like; an extension is left out.

    A number without `+` or `00` is a national one and needs its `region` (ISO 3166, two letters): 15554441234 is a
    number in the USA and another one in China.
    """
    text = unicodedata.normalize("NFKC", clean(text))
    if FLOAT.fullmatch(text) or not PHONE_WORDS.issuperset(LETTERS.findall(text.lower())):
        return None
    if text.startswith("00"):
        text = f"+{text[2:]}"
    is_international = INTERNATIONAL.match(text)
    number = _parse(text) if is_international else _national(text, region) if region else None
    if number is None or phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _parse(text: str, region: str | None = None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except NumberParseException:
        return None


def _national(text: str, region: str) -> PhoneNumber | None:
    """A number without `+`; None if it may as well be one with its country code, such as 4915112345678 in Germany."""
    national, complete = _parse(text, region), _parse(f"+{text}")
    is_same = national and complete and national.national_number == complete.national_number
    if national is None or complete is None or complete.country_code != national.country_code or is_same:
        return national
    return None if phonenumbers.is_valid_number(complete) else national


def read_region(value: object) -> str:
    """The region of a country as two letters (`DE`, `uk`) or as a calling code (`49`, `+49`); '' for anything else."""
    text = str(value).strip().upper() if isinstance(value, str | int) else ""
    if re.fullmatch(r"\+?[0-9]{1,3}", text):
        region = phonenumbers.region_code_for_country_code(int(text))
        return region if region in phonenumbers.SUPPORTED_REGIONS else ""
    text = "GB" if text == "UK" else text
    return text if text in phonenumbers.SUPPORTED_REGIONS else ""


def read_hash(text: str) -> str | None:
    """The 64 lower-case hex digits of a SHA-256 hash, also of `sha256:<hash>`; None for the hash of a placeholder."""
    digits = clean(text).lower().removeprefix(HASH_PREFIX)
    return digits if SHA256_HEX.fullmatch(digits) and digits not in EMPTY_HASHES else None


def read_public_address(text: str) -> str | None:
    """An IP address of the internet: `::ffff:203.0.113.7` is 203.0.113.7; None for those of a home or a machine."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    is_public = not any(address in network for network in NOT_PUBLIC if network.version == address.version)
    return str(address) if is_public else None
