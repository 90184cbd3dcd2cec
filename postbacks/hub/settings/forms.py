"""The form of a postback, filled from a config or from a refused check. Test codes are never rendered."""

from typing import Any

from django.http import QueryDict

from audience.hub.toolkit.access import HubRequest
from audience.hub.toolkit.filters import parse_uuid
from audience.models import Game
from postbacks.configs.copying import CopiedSettings
from postbacks.configs.forms import PostbackForm
from postbacks.models import CredentialCheck, PostbackConfig
from postbacks.networks.interface.network import Network


def bound_form(
    network: Network,
    request: HubRequest,
    *,
    game: Game,
    config: PostbackConfig | None,
    copied: CopiedSettings | None = None,
) -> PostbackForm:
    """Return the form of the request. `?check=<id>` fills it from a refused check, without secrets;
    `?preset=<name>` with a ready-made request. `copied` are the settings of a postback of another network."""
    data = request.POST if request.method == "POST" else None
    stored = config.credential if config and network.has_templates else {}
    initial = {**_initial(request, game, config, copied), **_preset(request, network)}
    return PostbackForm(
        data,
        network=network,
        editing=config is not None,
        stored=stored,
        initial=initial,
        game_goals=list(game.game_goals.order_by("name")),
    )


def _preset(request: HubRequest, network: Network) -> dict[str, str]:
    """Return the values of `?preset=<name>`, those of the form's secret parts too: they have no secret yet."""
    name = request.GET.get("preset")
    parts = next((preset.parts for preset in network.presets if preset.name == name), {})
    return {part.form_name: parts[part.name] for part in network.credential_fields if part.name in parts}


def without_test_code(form: PostbackForm) -> PostbackForm:
    """Return the form without the entered test code. Secret parts of a credential are never rendered."""
    if isinstance(form.data, QueryDict):
        form.data = form.data.copy()
        form.data["test_code"] = ""
    return form


def _initial(
    request: HubRequest, game: Game, config: PostbackConfig | None, copied: CopiedSettings | None
) -> dict[str, Any]:
    pk = parse_uuid(request.GET.get("check", ""))
    check = CredentialCheck.objects.filter(game=game, pk=pk).first() if pk else None
    source: CredentialCheck | PostbackConfig | None = check or config
    if source is None and copied:
        return {"triggers": copied.triggers, "goals": copied.goals, "enabled": copied.enabled}
    if source is None:
        return {"enabled": True}
    # A finished check stores no credential.
    stored = config.credential if config else {}
    parts = (part for part in source.kind.credential_fields if part.kind == "plain")
    return {
        **{part.form_name: stored.get(part.name, "") for part in parts},
        "pixel_id": source.pixel_id,
        "triggers": source.triggers,
        "goals": source.goals,
        "enabled": source.enabled,
        "time_zone": source.time_zone,
    }
