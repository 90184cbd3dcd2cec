"""The Costs page: uploading what campaigns cost, and the uploads so far."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership, Role
from postbacks.hub.campaigns.filters import names_query
from postbacks.hub.costs.forms import ColumnsForm, CostUploadForm
from postbacks.models import CostUpload
from postbacks.reporting.campaigns import cost_files, cost_gaps, cost_uploads, costs
from postbacks.reporting.campaigns.cost_files import MAX_ERRORS, REQUIRED, CostFile, CostsRefused
from postbacks.reporting.campaigns.cost_gaps import CampaignWithoutCost
from postbacks.reporting.campaigns.cost_uploads import CostLinesRefused, line_count
from postbacks.reporting.campaigns.figures import Scope
from postbacks.reporting.campaigns.periods import last_days
from postbacks.reporting.campaigns.wording import NOT_NAMED
from postbacks.reporting.labels import network_label

MAX_UPLOADS = 20
# Costs and campaigns without the other, of the last days.
GAP_DAYS, MAX_GAPS = 90, 50


@game_view()
def cost_list(request: HubRequest, membership: Membership) -> HttpResponse:
    return _show(request, membership, CostUploadForm())


@game_view()
def cost_sample(request: HubRequest, membership: Membership) -> HttpResponse:
    response = HttpResponse(cost_files.SAMPLE, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="costs-sample.csv"'
    return response


@game_view(role=Role.MARKETER, methods=("POST",))
def cost_upload(request: HubRequest, membership: Membership) -> HttpResponse:
    """Store the costs of a file; ask which column is which if its names do not say it."""
    form = CostUploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _show(request, membership, form)
    file, name = cost_files.read_file(form.text), form.cleaned_data["file"].name
    mapped = cost_files.guess_columns(file.header)
    if all(column in mapped for column in REQUIRED):
        return _store(request, membership, file, mapped, {}, name) or _show(request, membership, CostUploadForm())
    columns = ColumnsForm(initial={"text": form.text, "name": name[:200]}, file=file)
    return page(request, "hub/costs/columns.html", membership, form=columns, preview=_preview(file))


@game_view(role=Role.MARKETER, methods=("POST",))
def cost_columns(request: HubRequest, membership: Membership) -> HttpResponse:
    """Store the costs of a file whose columns a member named."""
    try:
        file = cost_files.read_file(request.POST.get("text", "").replace("\0", ""))
    except CostsRefused:
        return redirect("costs", slug=membership.game.slug)
    form = ColumnsForm(request.POST, file=file)
    if form.is_valid():
        stored = _store(request, membership, file, form.mapped, form.defaults, form.cleaned_data["name"])
        if stored:
            return stored
    return page(request, "hub/costs/columns.html", membership, form=form, preview=_preview(file))


def _store(
    request: HubRequest, membership: Membership, file: CostFile, mapped: Any, defaults: Any, name: str
) -> HttpResponse | None:
    """Store the rows and go back to the page; nothing is stored if a line has an error, which is shown."""
    uploaded_by = request.user.email or request.user.get_username()
    try:
        stored = cost_uploads.store_file(
            game=membership.game, file=file, mapped=mapped, defaults=defaults, name=name, uploaded_by=uploaded_by
        )
    except CostLinesRefused as refused:
        more = len(refused.errors) - MAX_ERRORS
        context = {"problem": str(refused), "errors": refused.errors[:MAX_ERRORS], "more": more}
        return _show(request, membership, CostUploadForm(), **context)
    messages.success(request, _result(stored.upload, stored.totals))
    return redirect("costs", slug=membership.game.slug)


def _result(upload: CostUpload, totals: int) -> str:
    verb, pronoun = ("was saved", "It replaced") if upload.rows == 1 else ("were saved", "They replaced")
    parts = [f"{line_count(upload.rows)} of {upload.name} {verb}."]
    parts += [f"{pronoun} {upload.replaced:,} earlier {'one' if upload.replaced == 1 else 'ones'}."] * bool(
        upload.replaced
    )
    parts += [f"{line_count(totals)} with totals {'was' if totals == 1 else 'were'} left out."] * bool(totals)
    return " ".join(parts)


def _show(request: HubRequest, membership: Membership, form: CostUploadForm, **context: Any) -> HttpResponse:
    uploads = membership.game.cost_uploads.order_by("-uploaded_at")[:MAX_UPLOADS]
    period = last_days(membership.game, GAP_DAYS)
    gaps = cost_gaps.find(Scope(game=membership.game, period=period))
    context |= {
        "unmatched": [(network_label(one.network), one) for one in gaps.unmatched[:MAX_GAPS]],
        "more_unmatched": len(gaps.unmatched) - MAX_GAPS,
        "without_cost": [
            (network_label(one.network), one, _campaign_query(one)) for one in gaps.without_cost[:MAX_GAPS]
        ],
        "more_without_cost": len(gaps.without_cost) - MAX_GAPS,
        "gap_days": GAP_DAYS,
        "not_named": NOT_NAMED,
        "has_costs": costs.has_any(membership.game),
    }
    return page(request, "hub/costs/page.html", membership, form=form, uploads=uploads, **context)


def _campaign_query(one: CampaignWithoutCost) -> str:
    return names_query((one.network, one.campaign))


def _preview(file: CostFile) -> list[list[str]]:
    """Return the first lines, to recognize the columns by."""
    return [cells for _, cells in file.lines[:3]]
