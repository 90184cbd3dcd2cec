"""The system check that refuses a network without one of its parts."""

import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.core.checks import CheckMessage, Error

from postbacks.networks import NETWORKS
from postbacks.networks.interface.checks import Checks
from postbacks.networks.interface.imitation import FAULTS, imitation_of
from postbacks.networks.interface.network import Network
from postbacks.networks.interface.ready_goals import OWN_NAME, READY_GOALS

FILES = ("static/logo.svg", "vectors/game_launch.json", "vectors/purchase.json", "vectors/responses.json")
OPTIONAL = frozenset(
    {
        *("object_id", "pixel_call", "has_test_endpoint", "match_key_help", "currencies", "document"),
        *("check_note", "test_note", "daily_check", "limits_data_use", "sample_cookies"),
        *("default_token_url", "token_path", "has_default_values", "freezes_body", "link_parameters"),
    }
)
# A prefix of environment variables; the database columns have 16 characters.
KIND = re.compile(r"[a-z_]{1,16}")
# An empty value of these declares that the network has none.
MAY_BE_EMPTY = frozenset(
    {
        *("click_params", "utm_sources", "cookies", "value_events", "match_keys"),
        *("standard_events", "custom_events", "custom_event_pattern", "custom_event_help"),
        *("test_code_label", "test_code_help"),
    }
)


def check_networks(**options: Any) -> list[CheckMessage]:
    problems = [
        f"Network {kind}: {text}" for kind, network in NETWORKS.items() for text in missing_parts(kind, network)
    ]
    return [Error(text, id="postbacks.E001") for text in [*problems, *shared_prefixes()]]


def missing_parts(kind: str, network: Network) -> Iterator[str]:
    """A sentence for each part that is missing or wrong."""
    declared = {name for cls in type(network).__mro__ if cls not in Network.__mro__ for name in vars(cls)}
    parts = dict.fromkeys(name for cls in (Network, Checks) for name in inspect.get_annotations(cls))
    for name in [name for name in parts if name not in OPTIONAL]:
        if name not in declared:
            hint = "; an empty value declares that there is none" if name in MAY_BE_EMPTY else ""
            yield f"{name} is not set{hint}."
        elif name not in MAY_BE_EMPTY and not getattr(network, name):
            yield f"{name} is empty."
    if not KIND.fullmatch(kind):
        yield "its kind must be at most 16 lowercase letters and underscores."
    if getattr(network, "kind", kind) != kind:
        yield f"kind is {network.kind!r}, and the registry has it as {kind!r}."
    yield from (f"the file {name} is missing in its folder." for name in FILES if not (network.folder / name).is_file())
    with suppress(AttributeError):  # of a part that is named above
        yield from wrong_ready_goals(network)
    try:
        imitation = imitation_of(network)
    except (ImportError, AttributeError) as error:
        yield f"its imitation.py cannot be loaded ({error})."
    else:
        missing = (name for name in FAULTS if name not in imitation.faults)
        yield from (f"its imitation has no answer for the fault {name}." for name in missing)
        required = (part.name for part in getattr(network, "credential_fields", ()) if part.required)
        absent = (name for name in required if name not in imitation.accounts.stored_credential())
        yield from (f"its imitation's accounts have no credential part {name}." for name in absent)


def wrong_ready_goals(network: Network) -> Iterator[str]:
    for key in sorted(READY_GOALS.keys() - network.ready_goals.keys()):
        yield f"ready_goals has no entry for {key}; None declares that the network has no such event."
    for key, sent_as in network.ready_goals.items():
        if key not in READY_GOALS:
            yield f"ready_goals has {key}, which is no ready-made goal."
        elif sent_as == OWN_NAME:
            names = [event.name for event in READY_GOALS[key].events if not network.accepts_event(event.name)]
            yield from (f"ready_goals: {key} cannot be sent under its own name {name}." for name in names)
        elif sent_as is not None and sent_as not in network.standard_events:
            yield f"ready_goals: {key} is sent as {sent_as}, which is none of its standard events."


def shared_prefixes() -> Iterator[str]:
    prefixes: list[tuple[str, str]] = []
    for kind, network in NETWORKS.items():
        with suppress(ImportError, AttributeError):
            prefixes += [(kind, prefix) for prefix in imitation_of(network).prefixes]
    for kind, prefix in prefixes:
        others = [other for other, longer in prefixes if other != kind and longer.startswith(prefix)]
        yield from (
            f"Networks {kind} and {other}: their imitations share the path prefix {prefix}." for other in others
        )
