"""The parts of a network's credential: inputs of the form, stored values, and secrets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialField:
    """One part of a credential; `name` is its key in PostbackConfig.credential.

    `kind`: "secret" is one line, "json" a JSON object that is pasted whole; neither is shown again. "plain" is an id
    that pages may show, or with `choices` (value -> label) a setting of the postback. `pattern` is for the whole input;
    `members` are the required texts of a JSON object, all secret. `lines` is the height of an input for several lines.
    `default` fills the form of a new postback. With the values `sample` of the plain parts a body has all of its
    fields.
    """

    name: str
    label: str
    help: str = ""
    kind: Literal["secret", "json", "plain"] = "secret"
    required: bool = True
    pattern: str = r"[!-~]+"
    members: tuple[str, ...] = ()
    lines: int = 1
    choices: Mapping[str, str] = field(default_factory=dict)
    default: str = ""
    sample: str = ""

    @property
    def form_name(self) -> str:
        """The name of its input. Clients post a token as `credential`."""
        return "credential" if self.name == "token" else f"credential_{self.name}"


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in `text`; {} when it holds none."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
