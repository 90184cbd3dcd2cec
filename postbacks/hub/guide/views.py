"""The first-run guide: five steps for the chosen ad network, with code for the chosen SDK."""

from dataclasses import replace

from django.http import HttpResponse
from django.shortcuts import redirect

from audience.games import keys
from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.filters import Filter, choice
from audience.models import ApiKey, Game, KeyKind, Membership, Role
from postbacks.hub.guide import chosen_network, snippets, steps
from postbacks.hub.guide.chosen_network import ChosenNetwork
from postbacks.networks import NETWORKS


@game_view()
def guide(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show the page; htmx polls for progress, with the number of steps that the page shows as done in `done`."""
    game = membership.game
    choices = [(key, sdk.label) for key, sdk in snippets.SDKS.items()]
    selected = choice(request, "sdk", label="SDK", choices=choices, default="curl")
    sdk = snippets.SDKS[selected.chosen]
    chosen = _chosen_network(request, game)
    progress = steps.progress(game, chosen=chosen, dialect=sdk.dialect, addresses=sees_addresses(membership))
    done = sum(step.done for step in progress)
    next_step = next((step for step in progress if not step.done), None)
    context = {
        "filter": selected,
        "steps": progress,
        "done": done,
        "next_step": next_step,
        "sdk": sdk,
        "chosen": chosen,
    }
    if request.htmx:
        has_changed = request.GET.get("done") != str(done)
        return page(request, "hub/guide/_progress.html", membership, has_changed=has_changed, live=True, **context)
    key = steps.newest_key(game, sdk.dialect)
    code = snippets.render_snippets(sdk, key=key, click_param=chosen.click_param)
    others = [network for kind, network in NETWORKS.items() if kind != chosen.network.kind]
    networks = _network_filter(request, chosen)
    return page(
        request, "hub/guide/page.html", membership, key=key, code=code, networks=networks, others=others, **context
    )


@game_view(role=Role.ADMIN, methods=("POST",))
def guide_key(request: HubRequest, membership: Membership) -> HttpResponse:
    """Create the game's first publishable key. Idempotent."""
    game = membership.game
    if not ApiKey.objects.live().filter(game=game, kind=KeyKind.PUBLISHABLE).exists():
        keys.create_key(game=game, name="First key", created_by=request.user)
    return redirect("guide", slug=game.slug)


def _chosen_network(request: HubRequest, game: Game) -> ChosenNetwork:
    """Return the network of `?network=`, which this session keeps, else the one that it kept, else the default."""
    kind = request.GET.get("network", "")
    if kind not in NETWORKS:
        return chosen_network.read(request, game)
    if not request.htmx:  # a poll of another tab is no choice
        chosen_network.remember(request, game, kind)
    return chosen_network.chosen(game, kind)


def _network_filter(request: HubRequest, chosen: ChosenNetwork) -> Filter:
    choices = [(kind, network.label) for kind, network in NETWORKS.items()]
    links = choice(request, "network", label="Ad network", choices=choices)
    options = [replace(option, is_chosen=option.value == chosen.network.kind) for option in links.options]
    return replace(links, chosen=chosen.network.kind, options=options)
