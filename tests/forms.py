"""Reads the forms of a rendered page, and fills them in with values that differ from those that it shows."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit


@dataclass
class Control:
    """`values` are what the control would post: none for a box that is not ticked."""

    name: str
    kind: str
    values: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)


class Forms(HTMLParser):
    """`found`: [(path that the form is posted to, '' for one that is not posted, its controls), ...]"""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.found: list[tuple[str, list[Control]]] = []
        self.current: Control | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            target = urlsplit(given.get("action", "")).path or self.path
            self.found.append((target if given.get("method") == "post" else "", []))
        elif not self.found:
            return
        elif tag == "option" and self.current:
            self.current.options.append(given.get("value", ""))
            if "selected" in given:
                self.current.values.append(given.get("value", ""))
        elif tag in {"input", "select", "textarea"} and given.get("name"):
            self._add(tag, dict(attrs), given)

    def _add(self, tag: str, attrs: dict[str, str | None], given: dict[str, str]) -> None:
        kind = given.get("type", "text") if tag == "input" else tag
        control = Control(given["name"], kind)
        self.found[-1][1].append(control)
        if kind in {"checkbox", "radio"}:
            control.options = [given.get("value", "on")]
            control.values = control.options[:] if "checked" in attrs else []
        elif tag == "input":
            control.values = [given.get("value", "")]
        else:
            self.current = control

    def handle_data(self, data: str) -> None:
        if self.current and self.current.kind == "textarea":
            self.current.values = ["".join(self.current.values) + data]

    def handle_endtag(self, tag: str) -> None:
        if tag in {"select", "textarea"} and self.current:
            if tag == "textarea":
                self.current.values = ["".join(self.current.values).removeprefix("\n")]
            self.current = None


def read(page: str, path: str, target: str) -> list[Control]:
    """Return the controls of the form of the page that is posted to `target`."""
    forms = Forms(path)
    forms.feed(page)
    return next(controls for action, controls in forms.found if action == target)


def posted(controls: list[Control]) -> dict[str, list[str]]:
    """Return what a browser would post of the visible controls that are no secret."""
    values: dict[str, list[str]] = {}
    for control in controls:
        if control.kind not in {"hidden", "password", "file", "submit"}:
            values.setdefault(control.name, []).extend(control.values)
    return {name: texts for name, texts in values.items() if texts}


def entered(controls: list[Control]) -> dict[str, list[str]]:
    """Return another value for every control: other ticks, the last choice, and text with signs of HTML."""
    values: dict[str, list[str]] = {}
    radios = {control.name: control.options[0] for control in controls if control.kind == "radio"}
    for control in controls:
        values.setdefault(control.name, []).extend(_other(control, radios))
    return {name: texts for name, texts in values.items() if texts}


def _other(control: Control, radios: dict[str, str]) -> list[str]:
    if control.kind == "checkbox":
        return [] if control.values else control.options
    if control.kind == "radio":
        return control.options if radios[control.name] == control.options[0] else []
    if control.kind == "select":
        return control.options[-1:]
    if control.kind in {"hidden", "file", "submit"}:
        return control.values
    return [{"number": "7", "date": "2027-01-02"}.get(control.kind, "new <b>\"&amp;\"</b> 'é' \n2nd")]
