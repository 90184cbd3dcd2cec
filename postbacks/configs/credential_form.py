"""The form of a credential: one field per part, with the labels and rules of its network."""

from collections.abc import Mapping
from typing import Any

from django import forms

from postbacks.configs.credential_input import CredentialInput
from postbacks.configs.rules import refusals, refused_moves
from postbacks.models import PostbackConfig
from postbacks.networks.interface.credentials import CredentialField
from postbacks.networks.interface.network import Network


class CredentialForm(forms.Form):
    """The parts of a network's credential.

    `editing=True`: a blank secret means the one of the `stored` credential, a blank plain part is removed.
    `cleaned_data["credential"]` is as in PostbackConfig; its only blank parts are optional plain ones, which the form
    shows as stored.
    """

    def __init__(
        self,
        *args: Any,
        network: Network,
        editing: bool = False,
        stored: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.network, self.stored = network, stored or {}
        for part in network.credential_fields:
            published = {preset.parts.get(part.name, "") for preset in network.presets}
            self.fields[part.form_name] = CredentialInput(part, editing=editing, published=published)

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        cleaned["credential"] = {
            part.name: value
            for part in self.network.credential_fields
            if (value := cleaned.pop(part.form_name, "")) or self._is_cleared(part)
        }
        self._refuse_credential(cleaned["credential"])
        return cleaned

    def _refuse_credential(self, entered: Mapping[str, str]) -> None:
        """Add what is wrong with the parts, also together with those that are stored."""
        names = {part.name: part.form_name for part in self.network.credential_fields}
        known = {name: value for name, value in {**self.stored, **entered}.items() if value}
        moved = refused_moves(entered, self.network, self.stored)
        for name, sentence in {**refusals(known, self.network), **moved}.items():
            if names[name] not in self.errors:
                self.add_error(names[name], sentence)

    def _is_cleared(self, part: CredentialField) -> bool:
        return part.kind == "plain" and not part.required and part.form_name in self.data

    @property
    def credential_fields(self) -> list[forms.BoundField]:
        return [self[part.form_name] for part in self.network.credential_fields]


def rotation_form(data: Any, config: PostbackConfig) -> CredentialForm:
    """Return the form that rotates the credential of a postback, with its plain parts; `data` is None or posted."""
    network = config.kind
    plain = (part for part in network.credential_fields if part.kind == "plain")
    return CredentialForm(
        data,
        network=network,
        editing=True,
        stored=config.credential if network.has_templates else {},
        initial={part.form_name: config.credential.get(part.name, "") for part in plain},
    )
