"""Addresses of players, cut down for those who need not know them."""

import re

# The local part as it is written in text and JSON; its first character stays, to tell two players apart.
EMAIL = re.compile(r"\b([A-Za-z0-9_])[A-Za-z0-9._%+\-]*@([A-Za-z0-9\-]+\.[A-Za-z0-9.\-]+)")


def without_emails(text: str) -> str:
    """`ada@example.com` becomes `a…@example.com`, wherever in the text it stands."""
    return EMAIL.sub(r"\1…@\2", text)
