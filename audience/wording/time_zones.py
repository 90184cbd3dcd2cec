"""The time zones that forms offer, by their IANA names, and the one in which the present page shows its times."""

import zoneinfo
from functools import cache
from zoneinfo import ZoneInfo

from django.utils import timezone

DEFAULT = "UTC"
# Names that are no place, and old ones that only link to others.
REGIONS = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@cache
def names() -> frozenset[str]:
    """Return the names of places, and UTC."""
    known = zoneinfo.available_timezones()
    return frozenset({DEFAULT, *(name for name in known if name.split("/")[0] in REGIONS and "/" in name)})


def find_zone(name: str) -> ZoneInfo | None:
    """Return the time zone of a name; None if it is not offered."""
    return ZoneInfo(name) if name in names() else None


def zone_or_utc(name: str) -> ZoneInfo:
    """Return the time zone of a stored name; UTC if this computer does not know it any more."""
    return find_zone(name) or ZoneInfo(DEFAULT)


def current() -> ZoneInfo:
    """Return the time zone of the page (audience/accounts/time_zone.py); UTC outside of a page."""
    zone = timezone.get_current_timezone()
    return zone if isinstance(zone, ZoneInfo) else ZoneInfo(DEFAULT)


@cache
def choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the choices of a select, grouped by region: [(region, [(name, text), ...]), ...]."""
    groups = [("", [(DEFAULT, DEFAULT)])]
    for region in REGIONS:
        places = sorted(name for name in names() if name.startswith(f"{region}/"))
        groups.append((region, [(name, _place(name)) for name in places]))
    return groups


def _place(name: str) -> str:
    """Return `Buenos Aires` of America/Buenos_Aires."""
    return name.partition("/")[2].replace("_", " ").replace("/", ", ")
