"""The page of Steam's own numbers: uploading its UTM analytics, and the uploads so far."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership, Role
from postbacks.hub.costs.forms import UploadForm
from postbacks.hub.costs.views import MAX_UPLOADS
from postbacks.models import SteamUpload, SteamVisits
from postbacks.reporting.campaigns.cost_files import MAX_ERRORS, CostFile
from postbacks.reporting.campaigns.cost_uploads import CostLinesRefused, line_count
from postbacks.reporting.steam import files, uploads


class SteamUploadForm(UploadForm):
    help_text = "The daily data of UTM analytics, as Steamworks exports it. At most 1 MB."

    def read_file(self, text: str) -> CostFile:
        return files.read_file(text)


@game_view()
def steam_numbers(request: HubRequest, membership: Membership) -> HttpResponse:
    return _show(request, membership, SteamUploadForm())


@game_view()
def steam_sample(request: HubRequest, membership: Membership) -> HttpResponse:
    response = HttpResponse(files.SAMPLE, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="steam-sample.csv"'
    return response


@game_view(role=Role.MARKETER, methods=("POST",))
def steam_upload(request: HubRequest, membership: Membership) -> HttpResponse:
    """Store the rows of a file; nothing is stored if a line has an error, and the page lists these."""
    form = SteamUploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _show(request, membership, form)
    uploaded_by = request.user.email or request.user.get_username()
    name = form.cleaned_data["file"].name
    try:
        stored = uploads.store_file(
            game=membership.game, file=files.read_file(form.text), name=name, uploaded_by=uploaded_by
        )
    except CostLinesRefused as refused:
        more = len(refused.errors) - MAX_ERRORS
        context = {"problem": str(refused), "errors": refused.errors[:MAX_ERRORS], "more": more}
        return _show(request, membership, SteamUploadForm(), **context)
    messages.success(request, _result(stored.upload, stored.totals))
    return redirect("steam-numbers", slug=membership.game.slug)


def _result(upload: SteamUpload, totals: int) -> str:
    parts = [f"{row_count(upload.rows)} of {upload.name} {_were(upload.rows)} saved."]
    if upload.replaced:
        parts.append(
            f"{row_count(upload.replaced)} of these days from earlier files {_were(upload.replaced)} replaced."
        )
    if totals:
        parts.append(f"{line_count(totals)} with totals {_were(totals)} left out.")
    return " ".join(parts)


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def row_count(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"


def _show(request: HubRequest, membership: Membership, form: SteamUploadForm, **context: Any) -> HttpResponse:
    game = membership.game
    context |= {
        "uploads": game.steam_uploads.order_by("-uploaded_at")[:MAX_UPLOADS],
        "has_numbers": SteamVisits.objects.filter(game=game).exists(),
    }
    return page(request, "hub/steam/page.html", membership, form=form, **context)
