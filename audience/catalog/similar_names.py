"""Names of events that differ only in case or separators, which is probably a mistake."""

from collections import defaultdict
from collections.abc import Iterable

from audience.catalog.checks import Check, CheckCode
from audience.catalog.figures import EventKey
from audience.models import Kind, Trigger

# Similar names that a check lists. Whoever has a publishable key can send thousands of them.
MAX_LISTED = 3


class NameForms:
    """Names by their form, which is without case and separators.

    `sent` are the events of the game; `known` are names that are expected: predefined ones, and those of goals and
    descriptions.
    """

    def __init__(self, sent: Iterable[EventKey], known: Iterable[str]) -> None:
        self.expected = set(known)
        self.names = {key.name for key in sent if key.kind == Kind.TRACK} | self.expected
        by_form: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            by_form[_form(name)].append(name)
        # What is expected is listed first.
        self.by_form = {
            form: sorted(names, key=lambda name: (name not in self.expected, name)) for form, names in by_form.items()
        }

    def checks(self, key: EventKey) -> list[Check]:
        """Return the check of an event, which need not be one of those sent; [] if no other name is similar."""
        form = _form(key.name)
        alike = self.by_form.get(form, []) if form and key.kind == Kind.TRACK else []
        first = [name for name in alike[: MAX_LISTED + 1] if name != key.name][:MAX_LISTED]
        if not first:
            return []
        more = len(alike) - (key.name in self.names) - len(first)
        return [_check(key.name, sorted(first), more, is_expected=key.name in self.expected)]


def similar_names(sent: Iterable[EventKey], known: Iterable[str]) -> dict[EventKey, list[Check]]:
    """Return the checks of the events whose name differs from another only in case or separators."""
    sent = list(sent)
    forms = NameForms(sent, known)
    return {key: found for key in sent if (found := forms.checks(key))}


def _check(name: str, others: list[str], more: int, *, is_expected: bool) -> Check:
    quoted = [f"“{other}”" for other in others]
    listed = f"{', '.join(quoted)} and {more:,} more" if more else " and ".join(quoted)
    text = f"“{name}” differs from {listed} only in case or separators. They are counted as different events."
    if not is_expected and (triggers := [f"“{other}”" for other in others if other in Trigger.values]):
        text += f" Only {' and '.join(triggers)} becomes a conversion without a goal."
    return Check(CheckCode.SIMILAR_NAME, text)


def _form(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
