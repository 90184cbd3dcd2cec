"""What a network overrides whose requests users write themselves. The defaults are for all others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

Layout = tuple[tuple[str, str], ...]  # (name of the part, its value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Ready-made parts of a credential, which the form of a new postback offers."""

    name: str
    label: str
    help: str
    parts: Mapping[str, str]


class EnteredRequests:
    # Whether users write the requests: their form has a preview of the request, and ready-made ones to begin with.
    has_templates: bool = False
    presets: Sequence[Preset] = ()
    macros: Mapping[str, str] = MappingProxyType({})  # macro of its templates -> its description
    # Whether its pixel IDs are names that users choose: then rate limit and breaker are of each postback.
    pixel_is_name: bool = False

    def refusals(self, credential: Mapping[str, str]) -> Mapping[str, str]:
        """Part of the credential -> what is wrong with it, as a sentence; {} if all parts can be used together."""
        return {}

    def entered_url(self, credential: Mapping[str, str]) -> str:
        """The URL that a user entered in the credential, '' without one. It may lead to public hosts only."""
        return ""

    def click_parameters_of(self, credential: Mapping[str, str]) -> Sequence[str]:
        """The click parameters that a postback names beside `click_params` (PostbackConfig.click_parameters)."""
        return ()

    def without_secrets(self, credential: Mapping[str, str]) -> Mapping[str, str]:
        """The credential with stars in place of its secrets, for a preview of the request."""
        return {}

    def secrets_of_another_host(self, stored: Mapping[str, str], entered: Mapping[str, str]) -> Mapping[str, str]:
        """Secret part that was not entered again -> the host that the stored one is for, if the entered URL has another
        host: whoever may change the URL could read it there."""
        return {}

    def layout(self, credential: Mapping[str, str]) -> Layout:
        """The parts of the credential that say which fields a request has; () if they are always the same."""
        return ()
