"""Whether mail leaves this installation, for pages that promise some."""

from django import template

from audience.accounts.address_mail import is_sent

register = template.Library()


@register.simple_tag
def mail_is_sent() -> bool:
    return is_sent()
