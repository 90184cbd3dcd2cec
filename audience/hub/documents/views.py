"""/help/: documents of docs/ for everybody, signed in or not. They have no data of a game."""

from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from audience.hub.documents import catalogue, search
from audience.hub.documents.catalogue import Document
from audience.hub.documents.rendering import IMAGES, rendered
from audience.hub.toolkit.access import HubRequest, game_view
from audience.hub.toolkit.filters import search_text
from audience.models import Membership


@require_safe
def index(request: HubRequest) -> HttpResponse:
    """The documents by topic, or those in which the words of `?q=` are."""
    query = search_text(request, "q")
    return _page(request, "hub/documents/index.html", query=query, results=search.search(query) if query else [])


@require_safe
def page(request: HubRequest, name: str) -> HttpResponse:
    document = _document(name)
    shown = rendered(document)
    topic = catalogue.topic_of(document)
    return _page(request, "hub/documents/page.html", document=document, topic=topic, shown=shown)


@require_safe
def source(request: HubRequest, name: str) -> HttpResponse:
    """The document as Markdown, for programs."""
    # Its images are static files.
    static_images = f"{settings.PUBLIC_URL}{settings.STATIC_URL}docs/"
    return _text(_document(name).text.replace(f"]({IMAGES}", f"]({static_images}"), "text/markdown")


@require_safe
def llms(request: HubRequest) -> HttpResponse:
    """The list of the documents for language models (llmstxt.org)."""
    lines = ["# Afterclick", "", f"> {catalogue.SUMMARY}"]
    for topic in catalogue.topics():
        lines += ["", f"## {topic.name}", ""]
        lines += [f"- [{each.title}]({_source_url(each)}): {each.summary}" for each in topic.documents]
    lines += ["", "## API", ""]
    schema = settings.PUBLIC_URL + reverse("schema")
    lines += [f"- [OpenAPI document]({schema}): Each route of the API with its requests and responses.", ""]
    return _text("\n".join(lines), "text/plain")


@game_view()
def earlier_page(request: HubRequest, membership: Membership, name: str) -> HttpResponse:
    """The address that a document had in earlier versions."""
    document = dict(catalogue.earlier_addresses()).get(name)
    if document is None:
        raise Http404("This document does not exist.")
    return HttpResponsePermanentRedirect(reverse("help-page", kwargs={"name": document.name}))


def _document(name: str) -> Document:
    if name not in catalogue.documents():
        raise Http404("This document does not exist.")
    return catalogue.documents()[name]


def _source_url(document: Document) -> str:
    return settings.PUBLIC_URL + reverse("help-source", kwargs={"name": document.name})


def _page(request: HubRequest, template: str, **context: Any) -> HttpResponse:
    common = {"topics": catalogue.topics(), "canonical": settings.PUBLIC_URL + request.path}
    return render(request, template, {**common, **context})


def _text(text: str, content_type: str) -> HttpResponse:
    return HttpResponse(text, content_type=f"{content_type}; charset=utf-8")
