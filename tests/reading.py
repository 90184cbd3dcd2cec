"""The words of a page as a person reads them: text, titles and labels, without code and what was entered."""

from html.parser import HTMLParser

UNREAD = {"pre", "code", "textarea", "script", "style"}
LABELS = {"title", "aria-label", "alt", "placeholder"}
INLINE = {"a", "b", "em", "i", "span", "strong", "time"}


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = [""]
        self.unread: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value for name, value in attrs if name in LABELS and value]
        if tag in UNREAD:
            self.unread.append(tag)
        if tag not in INLINE:
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        if self.unread and tag == self.unread[-1]:
            self.unread.pop()
        if tag not in INLINE:
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        if not self.unread:
            self.texts[-1] += data


def texts(page: str) -> list[str]:
    """Return each text of an HTML page, with single spaces."""
    reader = Reader()
    reader.feed(page)
    return [" ".join(text.split()) for text in reader.texts if text.strip()]
