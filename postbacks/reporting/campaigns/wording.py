"""How the rows of campaigns are named."""

from postbacks.reporting.campaigns.figures import Names
from postbacks.reporting.labels import network_label

LEVEL_LABELS = {"network": "Network", "campaign": "Campaign", "ad_group": "Ad group", "ad": "Ad"}
NOT_NAMED = "(not named)"


def name_label(names: Names, number: int) -> str:
    """Return a name of a row as pages show it."""
    return network_label(names[number]) if number == 0 else names[number] or NOT_NAMED


def selects(query: str, names: Names) -> bool:
    """Whether a row has the searched text in one of its names; True for ''."""
    labels = (name_label(names, number).casefold() for number in range(len(names)))
    return not query or any(query.casefold() in label for label in labels)
