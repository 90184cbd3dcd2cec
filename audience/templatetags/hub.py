"""Tags and filters of the Hub and account pages."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django import template
from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.safestring import SafeString

from audience.accounts.mail import has_mail_server
from audience.digest import money
from audience.wording import dates
from audience.wording.articles import with_article

register = template.Library()

# In order of precedence: Edge and Opera also send Chrome/, and most browsers send Safari/.
BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = (
    *(("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows")),
    *(("Mac OS", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)


@register.filter
def browser_name(user_agent: str) -> str:
    """Return "Chrome on Linux", or the user agent itself if its browser or system is unknown."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    return f"{browser} on {system}" if browser and system else user_agent or "Unknown"


@register.simple_block_tag
def capture(content: SafeString) -> SafeString:
    """`{% capture as name %}...{% endcapture %}` stores rendered markup in a variable, to use it more than once."""
    return content


@register.simple_tag
def mail_is_sent() -> bool:
    return has_mail_server()


@register.simple_tag
def has_users() -> bool:
    """Whether anybody can sign in to this installation."""
    return User.objects.exists()


@register.filter
def as_json(value: Any) -> str:
    """Return JSON for an HTML attribute: the pages have no inline scripts."""
    return json.dumps(value, cls=DjangoJSONEncoder)


def _or_blank(text_of: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: text_of(value) if value else ""


for text_of in (dates.day, dates.short_day, dates.weekday, dates.moment, dates.exact, dates.hour, dates.machine):
    register.filter(text_of.__name__, _or_blank(text_of))
register.filter(with_article)


@register.filter
def amount(value: Decimal, currency: str) -> str:
    """Return an amount with the digits of its currency: "1,204.50 USD", "1,200 JPY"."""
    digits = money.digits_of(currency)
    return f"{value:,.{2 if digits is None else digits}f} {currency or 'without currency'}"
