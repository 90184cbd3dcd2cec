"""Which documents of docs/ are pages of /help/: those for marketers and backends, not those for operators."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

FOLDER: Path = settings.BASE_DIR / "docs"
NETWORKS = "networks"
SUMMARY = (
    "Afterclick is a self-hosted portal for game studios: it receives player events over HTTP, attributes launches, "
    "purchases and other goals to ad clicks, and reports them to the ad networks."
)


@dataclass(frozen=True, slots=True)
class Document:
    """`name` is the path in docs/ without .md, `summary` one sentence for lists."""

    name: str
    title: str
    summary: str

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.md"

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    documents: tuple[Document, ...]


# Topic -> name -> summary. The first line of a document is its title.
SUMMARIES = {
    "For marketers": {
        "attribution": "Which ad click gets a conversion, attribution windows, and why a conversion was not sent.",
        "campaigns": "What the figures of campaigns, cohorts and costs count, and how an ad is named.",
        "links": "Links that record a click and lead to a store or a website, and what they store.",
        "pixel": "The script that captures ad clicks on a website: installation, calls, consent and proxies.",
        "goals": "Which events count as conversions, and under which name a network receives them.",
        "event-catalog": "What the game sends, which warnings there are, and how to describe your own events.",
        "values": "Amounts and currencies, refunds, orders that count once, and the CSV export.",
        "joins": "Connecting an ad click on the web with the player of a Steam, console or mobile game.",
        "identity": "How events are linked to one player, including on shared computers.",
        "contacts": "Which email addresses, phone numbers, names and addresses a network receives.",
    },
    "For backends": {
        "migrating": "The line to change in the SDK that your game has.",
        "game-side": "Launches, sign-ins, purchases, consent and claim codes: curl, Python, Node, Unity and Unreal.",
        "events": "The messages of each format, and the names of events and properties that Afterclick reads.",
        "errors": "Each error response of the API, what it means and what to do.",
        "keys": "Kinds of API keys, restrictions, rotation and expiry.",
        "api": "Managing games by scripts: tokens and scopes, errors, idempotency, ETags, pages and limits.",
        "webhooks": "Signed messages about alerts, conversions and erasures, and how to verify them.",
        "match-keys": "What TikTok and Reddit receive, compared with Segment's and RudderStack's destinations.",
    },
    "Privacy": {
        "consent": "Consent levels, what each of them sends, and limited data use.",
        "deleting-data": "Erasing a player, receipts, and how long data is kept.",
    },
}
NETWORK_SUMMARY = "Credentials, what is sent, limits, and what can go wrong."


@cache
def topics() -> tuple[Topic, ...]:
    """Return all documents by topic, in the order of the index."""
    listed = [
        Topic(topic, tuple(_document(name, summary) for name, summary in summaries.items()))
        for topic, summaries in SUMMARIES.items()
    ]
    of_networks = (_document(f"{NETWORKS}/{path.stem}", NETWORK_SUMMARY) for path in (FOLDER / NETWORKS).glob("*.md"))
    # The page about any other server comes last.
    ordered = sorted(of_networks, key=lambda each: (each.name.endswith("/custom"), each.title))
    return (*listed, Topic("Ad networks", tuple(ordered)))


@cache
def documents() -> dict[str, Document]:
    """Return all documents by name."""
    return {document.name: document for topic in topics() for document in topic.documents}


def topic_of(document: Document) -> Topic:
    return next(topic for topic in topics() if document in topic.documents)


def earlier_addresses() -> Iterator[tuple[str, Document]]:
    """Yield (name in the address of earlier versions, document): networks had no folder there."""
    for document in documents().values():
        yield document.path.stem, document


def _document(name: str, summary: str) -> Document:
    with (FOLDER / f"{name}.md").open(encoding="utf-8") as lines:
        return Document(name, next(lines).strip("# \n"), summary)
