"""Privacy: admins look up and erase players; all members see the receipts."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience.hub.toolkit.access import HubRequest, game_view, has_role, page
from audience.hub.toolkit.confirmation import EraseForm, ErasePersonForm
from audience.hub.toolkit.filters import search_text
from audience.hub.toolkit.paging import newest
from audience.ids.values import canonical
from audience.models import Erasure, ErasureState, Membership, Person, Role, Suppression
from audience.models.erasure import ReceiptKeyLost
from audience.privacy import suppression
from audience.privacy.erasure import request_erasure
from audience.reporting.people import erasure_identity, matching_people, person_rows
from audience.storage.retention import first_kept_day
from consent.models import ConsentDecision

# Maximum number of players, of decisions and of receipts that a lookup shows.
MAX_SHOWN = 20

PLAYER_ERASED = "The player was erased."
SHARED_ID_ERASED = (
    "This ID did not belong to a single player. The ID and the data known only by it were erased. The "
    "events of the players are kept without it."
)


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """An erasure with its counts as text: "events 18, touches 2"."""

    erasure: Erasure
    erased: str
    suppression: Suppression | None

    @classmethod
    def of(cls, erasure: Erasure) -> "ReceiptRow":
        """Return the row of an erasure; reads its `suppressions`."""
        counts = [f"{name.replace('_', ' ')} {count}" for name, count in erasure.counts.items() if count]
        suppression = next(iter(erasure.suppressions.all()), None)
        return cls(erasure=erasure, erased=", ".join(counts), suppression=suppression)

    @property
    def refused(self) -> str:
        """What happens to later events of the player, in one sentence; '' if they are accepted and all were."""
        number = self.erasure.suppressed_messages
        messages = f"{number:,} message{'' if number == 1 else 's'}"
        if self.suppression:
            return f"Later events are refused: {messages} so far."
        return f"{messages} {'was' if number == 1 else 'were'} refused later." if number else ""

    @property
    def sentence(self) -> str:
        """What was done, in one sentence."""
        return SHARED_ID_ERASED if self.erasure.is_of_shared_id else PLAYER_ERASED


@game_view()
def privacy(request: HubRequest, membership: Membership) -> HttpResponse:
    return _page(request, membership, EraseForm())


@game_view(role=Role.ADMIN, methods=("POST",))
def erase(request: HubRequest, membership: Membership) -> HttpResponse:
    form = EraseForm(request.POST)
    if not form.is_valid():
        return _page(request, membership, form)
    return _erase(request, membership, form.cleaned_data["namespace"], form.cleaned_data["subject"], form)


@game_view(role=Role.ADMIN, methods=("POST",))
def person_erase(request: HubRequest, membership: Membership, pk: UUID) -> HttpResponse:
    """Erase a player by one of their ids, which must be typed to confirm it."""
    person = Person.objects.filter(game=membership.game, pk=pk).first()
    identity = erasure_identity(person) if person else None
    if identity is None:
        raise Http404("No player to erase.")
    form = ErasePersonForm(request.POST, subject=identity.as_sent)
    if not form.is_valid():
        messages.error(request, f"{form.errors['confirmation'][0]}")
        return redirect("person", slug=membership.game.slug, pk=pk)
    return _erase(request, membership, identity.namespace, identity.as_sent, form)


@game_view(role=Role.ADMIN, methods=("POST",))
def suppression_lift(request: HubRequest, membership: Membership, pk: UUID) -> HttpResponse:
    """Accept events of an erased player again."""
    rows = Suppression.objects.select_related("game")
    suppression.lift(suppression=get_object_or_404(rows, game=membership.game, pk=pk))
    messages.success(request, "Events of this player are accepted again.")
    return redirect("privacy", slug=membership.game.slug)


def _erase(
    request: HubRequest, membership: Membership, namespace: str, subject: str, form: EraseForm | ErasePersonForm
) -> HttpResponse:
    """Request the erasure and redirect to the receipts."""
    request_erasure(
        game=membership.game,
        namespace=namespace,
        subject=subject,
        requested_by=request.user.get_username(),
        suppress=form.cleaned_data["suppress"],
    )
    messages.success(request, "The erasure is in progress. The receipt below shows when it is done.")
    return redirect("privacy", slug=membership.game.slug)


def _page(request: HubRequest, membership: Membership, form: EraseForm) -> HttpResponse:
    before = request.GET.get("before", "")
    rows = Erasure.objects.filter(game=membership.game).prefetch_related("suppressions")
    erasures = newest(rows, by="requested_at", before=before)
    context: dict[str, Any] = {
        "receipts": [ReceiptRow.of(erasure) for erasure in erasures.rows],
        "older": erasures.older,
        "before": before,
    }
    if request.htmx:
        return page(request, "hub/privacy/_erasure_rows.html", membership, **context)
    context["kept_from"] = first_kept_day(membership.game.kept_days) if membership.game.kept_days else None
    context["has_pending"] = any(receipt.erasure.state == ErasureState.PENDING for receipt in context["receipts"])
    return page(
        request, "hub/privacy/page.html", membership, form=form, **lookup_context(request, membership), **context
    )


def lookup_context(request: HubRequest, membership: Membership) -> dict[str, Any]:
    """Return the results of `?q=`, for admins only: players, consent decisions of an anonymous id, and receipts."""
    query = search_text(request, "q") if has_role(membership, Role.ADMIN) else ""
    if not query:
        return {"query": ""}
    people = matching_people(membership.game, query).order_by("-last_seen_at", "pk")[:MAX_SHOWN]
    decisions = ConsentDecision.objects.for_ids(membership.game_id, [canonical(query)])[:MAX_SHOWN]
    rows, receipts = person_rows(list(people), addresses=True), receipts_context(membership, query)
    return {**receipts, "query": query, "rows": rows, "decisions": list(decisions)}


def receipts_context(membership: Membership, query: str) -> dict[str, Any]:
    """Return the receipts that include an id, or why they cannot be found."""
    try:
        erasures = Erasure.objects.for_subject(membership.game_id, query).prefetch_related("suppressions")
        return {"receipts_of": [ReceiptRow.of(erasure) for erasure in erasures.order_by("-requested_at")[:MAX_SHOWN]]}
    except ReceiptKeyLost as error:
        return {"receipts_of": [], "receipts_problem": str(error)}
