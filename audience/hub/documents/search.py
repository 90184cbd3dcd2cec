"""The search of /help/: a word search over the headings, paragraphs, rows and code of the documents."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from django.urls import reverse

from audience.hub.documents.catalogue import Document, documents
from audience.hub.documents.rendering import plain, tokens

MAX_RESULTS = 20
MAX_WORDS = 8
MAX_SENTENCE_LENGTH = 240
# Points for a word in the title of the document, in the heading of the section, and in a block of its text.
TITLE, HEADING, TEXT = 6, 4, 1
# Blocks of a section that count, and the weight of a whole word beside that of the beginning of one.
MAX_BLOCKS, WHOLE_WORD = 3, 2
WORD = re.compile(r"\w+")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a document from one heading to the next. `blocks`: paragraphs, list items, rows and lines of code."""

    document: Document
    heading: str
    anchor: str
    blocks: tuple[str, ...]

    @property
    def is_first(self) -> bool:
        return self.heading == self.document.title

    @property
    def url(self) -> str:
        return reverse("help-page", kwargs={"name": self.document.name}) + ("" if self.is_first else f"#{self.anchor}")

    @property
    def label(self) -> str:
        return self.heading if self.is_first else f"{self.document.title} › {self.heading}"


@dataclass(frozen=True, slots=True)
class Result:
    """`sentence` is a list of (text, whether the text was searched for)."""

    section: Section
    sentence: list[tuple[str, bool]]


def search(query: str) -> list[Result]:
    """Return the sections in which each word of the query begins a word, best first."""
    words = [word.lower() for word in WORD.findall(query)][:MAX_WORDS]
    if not words:
        return []
    scored = [(score, section) for section in sections() if (score := _score(section, words))]
    scored.sort(key=lambda pair: -pair[0])
    return [Result(section, _sentence(section, words)) for _, section in scored[:MAX_RESULTS]]


@cache
def sections() -> tuple[Section, ...]:
    return tuple(section for document in documents().values() for section in _sections(document))


def _sections(document: Document) -> Iterator[Section]:
    heading, anchor = document.title, ""
    blocks: list[str] = []
    row: list[str] = []
    found = tokens(document)
    for index, token in enumerate(found):
        if token.type == "heading_open":
            if blocks or index:
                yield Section(document, heading, anchor, tuple(blocks))
            heading, anchor, blocks = plain(found[index + 1]), str(token.attrs["id"]), []
        elif token.type == "fence":
            blocks += filter(None, map(str.strip, token.content.splitlines()))
        elif token.type == "tr_close":
            blocks, row = [*blocks, " · ".join(filter(None, row))], []
        elif token.type == "inline" and found[index - 1].type in ("th_open", "td_open"):
            row.append(plain(token))
        elif token.type == "inline" and found[index - 1].type != "heading_open":
            blocks.append(plain(token))
    yield Section(document, heading, anchor, tuple(blocks))


def _score(section: Section, words: Sequence[str]) -> int:
    """Return the points of a section; 0 unless each word is in it, in its heading or in the title of its document."""
    title, heading = _words(section.document.title), _words(section.heading)
    texts = [_words(block) for block in section.blocks]
    total = 0
    is_in_section = section.is_first
    for word in words:
        in_heading = _weight(word, heading)
        in_text = sum(sorted((_weight(word, text) for text in texts), reverse=True)[:MAX_BLOCKS])
        points = TITLE * _weight(word, title) + HEADING * in_heading + TEXT * in_text
        if not points:
            return 0
        is_in_section = is_in_section or bool(in_heading or in_text)
        total += points
    # What is in the title only is found once, by the beginning of its document.
    return total if is_in_section else 0


def _words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def _weight(word: str, words: Sequence[str]) -> int:
    """Return WHOLE_WORD if the word is one of the words, 1 if it begins one, or a part after an underscore, else 0."""
    if word in words:
        return WHOLE_WORD
    return int(any(each.startswith(word) or f"_{word}" in each for each in words))


def _sentence(section: Section, words: Sequence[str]) -> list[tuple[str, bool]]:
    """Return the sentence of the section with most of the words, in parts."""
    sentences = [sentence for block in section.blocks for sentence in SENTENCE_END.split(block)]
    best = max(sentences, key=lambda text: sum(_weight(word, _words(text)) for word in words), default="")
    pattern = re.compile(rf"((?<![^\W_])(?:{'|'.join(map(re.escape, words))}))", re.IGNORECASE)
    match = pattern.search(best)
    start = max(0, (match.start() if match else 0) - MAX_SENTENCE_LENGTH // 2) if len(best) > MAX_SENTENCE_LENGTH else 0
    shown = best[start : start + MAX_SENTENCE_LENGTH]
    shown = f"{'… ' if start else ''}{shown}{' …' if start + MAX_SENTENCE_LENGTH < len(best) else ''}"
    return [(part, index % 2 == 1) for index, part in enumerate(pattern.split(shown)) if part]
