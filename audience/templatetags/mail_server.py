"""Whether this installation sends mail, for pages that mention mail."""

from django import template

from audience.accounts.mail import has_mail_server

register = template.Library()


@register.simple_tag
def mail_is_sent() -> bool:
    return has_mail_server()
