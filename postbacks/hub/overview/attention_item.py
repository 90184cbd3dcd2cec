"""One notice of the Overview."""

from dataclasses import dataclass
from datetime import datetime

BAD, WARN = "bad", "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionItem:
    """`what` links to `href` unless that is ''; `why` and `next_step` are sentences or ''. `button` posts to `action`,
    for admins. `is_of_server`: it concerns every game."""

    tone: str
    title: str
    what: str
    href: str
    why: str
    next_step: str
    since: datetime | None = None
    when: str = "Since"
    action: str = ""
    button: str = ""
    is_of_server: bool = False
