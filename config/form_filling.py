"""Fills the form of a rendered page with what was entered before: text, choices and ticks, but no secrets."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from html.parser import HTMLParser
from urllib.parse import urlsplit

TICKED = {"checkbox", "radio"}
# Values of these are not entered by a person, or must not be shown.
UNFILLED = {"hidden", "password", "file", "submit", "button", "image", "reset"}
# Hidden fields with this attribute are filled: they say what the person saw when they entered the others.
KEPT = "data-kept"
# Attributes of an element in a form that say where it is posted to.
TARGETS = ("action", "formaction", "hx-post")
Attributes = list[tuple[str, str | None]]


def fill(page: str, *, path: str, target: str, entered: Iterable[tuple[str, str]]) -> str:
    """Return the HTML of the page at `path` with the values `entered` in its first form that is posted to `target`.

    The page is unchanged if it has no such form. Fields that were not entered, such as cleared checkboxes, are blank.
    """
    finder = _Finder(path, target)
    finder.feed(page)
    if finder.found is None:
        return page
    values: dict[str, list[str]] = {}
    for name, value in entered:
        values.setdefault(name, []).append(value)
    filler = _Filler(finder.found, values)
    filler.feed(page)
    filler.close()
    return "".join(filler.pieces)


class _Finder(HTMLParser):
    """Finds the number of the first form that is posted to `target`; `found` is None without one."""

    def __init__(self, path: str, target: str) -> None:
        super().__init__()
        self.path, self.target = path, target
        self.found: int | None = None
        self.form = -1
        self.is_inside = False

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        given = dict(attrs)
        if tag == "form":
            self.form, self.is_inside = self.form + 1, True
            if (given.get("method") or "").lower() == "post":
                given.setdefault("action", self.path)
            else:
                given.pop("action", None)
        targets = {urlsplit(value or "").path or self.path for name, value in given.items() if name in TARGETS}
        if self.is_inside and self.found is None and self.target in targets:
            self.found = self.form

    def handle_endtag(self, tag: str) -> None:
        self.is_inside = self.is_inside and tag != "form"


class _Filler(HTMLParser):
    """Repeats the page in `pieces`, with `values` in the fields of the form with this number."""

    def __init__(self, form: int, values: Mapping[str, Sequence[str]]) -> None:
        super().__init__(convert_charrefs=False)
        self.pieces: list[str] = []
        self.values = {name: list(texts) for name, texts in values.items()}
        self.form, self.wanted = -1, form
        self.select: list[str] | None = None
        self.is_inside = self.is_replaced = False

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        if tag == "form":
            self.form += 1
            self.is_inside = self.form == self.wanted
        source, given = self.get_starttag_text() or "", dict(attrs)
        self.pieces.append(self._filled(tag, attrs, given) if self.is_inside else source)
        if self.is_inside and tag == "textarea" and (text := self._next(given)) is not None:
            self.pieces.append(f"\n{escape(text)}")
            self.is_replaced = True

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self.pieces.append(self._filled(tag, attrs, dict(attrs)) if self.is_inside else self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.is_replaced = False
        elif tag == "select":
            self.select = None
        elif tag == "form":
            self.is_inside = False
        self.pieces.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self._repeat(data)

    def handle_entityref(self, name: str) -> None:
        self._repeat(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._repeat(f"&#{name};")

    def handle_comment(self, data: str) -> None:
        self.pieces.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.pieces.append(f"<!{decl}>")

    def _repeat(self, text: str) -> None:
        if not self.is_replaced:
            self.pieces.append(text)

    def _next(self, given: Mapping[str, str | None]) -> str | None:
        """Return the next value of a text field; None if it was not entered."""
        texts = self.values.get(given.get("name") or "", [])
        return texts.pop(0) if texts else None

    def _filled(self, tag: str, attrs: Attributes, given: Mapping[str, str | None]) -> str:
        name, kind = given.get("name") or "", (given.get("type") or "text").lower()
        source = self.get_starttag_text() or ""
        if tag == "select":
            self.select = self.values.get(name)
        elif tag == "option" and self.select is not None:
            return _tag(tag, attrs, selected=(given.get("value") or "") in self.select)
        elif tag == "input" and name and kind in TICKED:
            return _tag(tag, attrs, checked=(given.get("value") or "on") in self.values.get(name, []))
        elif tag == "input" and name and _is_filled(kind, given) and (text := self._next(given)) is not None:
            return _tag(tag, attrs, value=text)
        return source


def _is_filled(kind: str, given: Mapping[str, str | None]) -> bool:
    return kind not in UNFILLED or (kind == "hidden" and KEPT in given)


def _tag(tag: str, attrs: Attributes, **changes: str | bool) -> str:
    """Return the start tag with changed attributes: a text sets one, True adds it without value, False removes it."""
    present: dict[str, str | bool | None] = {**dict(attrs), **changes}
    parts = [
        name if value in (None, True) else f'{name}="{escape(str(value))}"'
        for name, value in present.items()
        if value is not False
    ]
    return f"<{' '.join([tag, *parts])}>"
