"""The first-run guide: five steps with code for the chosen SDK."""

from django.http import HttpResponse
from django.shortcuts import redirect

from audience.games import keys
from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.filters import choice
from audience.models import ApiKey, KeyKind, Membership, Role
from postbacks.hub.guide import snippets, steps
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network


@game_view()
def guide(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show the page; htmx polls for progress, with the number of steps that the page shows as done in `done`."""
    game = membership.game
    choices = [(key, sdk.label) for key, sdk in snippets.SDKS.items()]
    selected = choice(request, "sdk", label="SDK", choices=choices, default="curl")
    sdk = snippets.SDKS[selected.chosen]
    progress = steps.progress(game, dialect=sdk.dialect, addresses=sees_addresses(membership))
    done = sum(step.done for step in progress)
    next_step = next((step for step in progress if not step.done), None)
    context = {"filter": selected, "steps": progress, "done": done, "next_step": next_step, "sdk": sdk}
    if request.htmx:
        has_changed = request.GET.get("done") != str(done)
        return page(request, "hub/guide/_progress.html", membership, has_changed=has_changed, live=True, **context)
    key = steps.newest_key(game, sdk.dialect)
    code = snippets.render_snippets(sdk, key=key, network=_network(membership))
    return page(request, "hub/guide/page.html", membership, key=key, code=code, networks=NETWORKS, **context)


@game_view(role=Role.ADMIN, methods=("POST",))
def guide_key(request: HubRequest, membership: Membership) -> HttpResponse:
    """Create the game's first publishable key. Idempotent."""
    game = membership.game
    if not ApiKey.objects.live().filter(game=game, kind=KeyKind.PUBLISHABLE).exists():
        keys.create_key(game=game, name="First key", created_by=request.user)
    return redirect("guide", slug=game.slug)


def _network(membership: Membership) -> Network:
    """Return the network of the ad click in the code: that of the first postback, else the first of NETWORKS."""
    kinds = PostbackConfig.objects.kept().filter(game=membership.game, network__in=NETWORKS)
    kind = kinds.order_by("created_at").values_list("network", flat=True).first()
    return NETWORKS[kind or next(iter(NETWORKS))]
