"""The claim page of a game: a visitor connects the browser with the player, without an account of this installation."""

import hashlib

from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from audience.claims.answers import claim_view, may_use, page_address, show, target_of, too_many
from audience.claims.visits import Visit
from audience.database import clock
from audience.joins import codes, contacts, records
from audience.joins.records import AlreadyUsed, JoinRefused
from audience.models import JoinKind
from audience.models.people import USER
from audience.privacy import decisions
from consent.models import Level

# Uses of each form by one address in an hour: a café or a school may have one address.
MAX_USES_AN_HOUR = 60
SOURCE = "claim page"


@require_safe
@claim_view
def claim(visit: Visit) -> HttpResponse:
    visit.store_click()
    return show(visit)


@require_POST
@claim_view
def claim_consent(visit: Visit) -> HttpResponse:
    """Record that the visitor agrees, for a browser that has not or that declined before."""
    if visit.opted_out or visit.request.POST.get("agree") != "yes":
        return show(visit, error="Select the box to agree.", status=400)
    if not may_use(visit, "consent", limit=MAX_USES_AN_HOUR):
        return too_many(visit)
    visit.use_new_id()
    decisions.record(
        game_id=visit.game.pk,
        anonymous_id=visit.anonymous_id,
        level=Level.FULL,
        source=SOURCE,
        decided_at=clock.now(),
    )
    response = redirect(page_address(visit))
    visit.set_id(response, visit.anonymous_id)
    return response


@require_POST
@claim_view
def claim_contact(visit: Visit) -> HttpResponse:
    """Store an email address or a Discord name that the visitor leaves."""
    posted = visit.request.POST
    kind = next((JoinKind(name) for name in visit.contact_kinds if name == posted.get("kind")), None)
    if kind is None or visit.opted_out:
        return show(visit, error="This is not possible here now. Nothing was stored.", status=400)
    if posted.get("agree") != "yes":
        return show(visit, error="Select the box to agree. Nothing was stored.", status=400)
    if not may_use(visit, "contact", limit=MAX_USES_AN_HOUR):
        return too_many(visit)
    try:
        value = contacts.read_contact(kind, posted.get("contact", ""))
    except ValueError as error:
        return show(visit, error=str(error), status=400)
    if not visit.may_store:
        visit.use_new_id()
    player = visit.steam_id
    try:
        records.add_join(
            game=visit.game,
            kind=kind,
            anonymous_id=visit.anonymous_id,
            player_id=player or value,
            key=f"{kind}:{_digest(visit.anonymous_id, player, value)}",
            links=[(USER, player)] if player else [(kind, value)],
            traits={kind.value: value},
            consent_level=Level.FULL,
        )
    except AlreadyUsed:
        pass  # the form was sent twice
    except JoinRefused as refused:
        return show(visit, error=str(refused), status=400)
    response = redirect(target_of(visit, visit.back))
    visit.set_id(response, visit.anonymous_id)
    return response


@require_POST
@claim_view
def claim_code(visit: Visit) -> HttpResponse:
    """Show a new code, once: only its digest is stored."""
    if JoinKind.CODE not in visit.kinds or not visit.may_store:
        return show(visit, error="This is not possible here now. Nothing was stored.", status=400)
    if not may_use(visit, "code", limit=MAX_USES_AN_HOUR):
        return too_many(visit)
    code = codes.create_code(game=visit.game, anonymous_id=visit.anonymous_id)
    return show(visit, code=codes.shown(code))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
