"""The time zones that the form of a postback offers: those of every form."""

from audience.wording.time_zones import DEFAULT, choices, find_zone, names, zone_or_utc

__all__ = ["DEFAULT", "choices", "find_zone", "names", "zone_or_utc"]
