"""Formats of Django's own pages (FORMAT_MODULE_PATH), as in audience/wording/dates.py."""

DATE_FORMAT = SHORT_DATE_FORMAT = "M j, Y"
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = "M j, Y, H:i:s"
TIME_FORMAT = "H:i:s"
MONTH_DAY_FORMAT = "M j"
YEAR_MONTH_FORMAT = "M Y"
