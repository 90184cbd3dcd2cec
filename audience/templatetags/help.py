"""The link from a page of the Hub to the document that explains it."""

from django import template

from audience.hub.documents.catalogue import Document
from audience.hub.documents.page_links import document_of

register = template.Library()


@register.simple_tag(takes_context=True)
def help_document(context: template.Context) -> Document | None:
    """Return the document that explains this page; None if there is none."""
    match = context["request"].resolver_match
    return document_of(match.url_name, match.kwargs) if match else None
