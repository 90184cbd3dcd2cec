from datetime import date

from django.urls import path, register_converter

from audience.hub.account import invitation, time_zone
from audience.hub.account import views as account
from audience.hub.documents import views as documents
from audience.hub.events import detail as event_detail
from audience.hub.events import views as events
from audience.hub.games import views as games
from audience.hub.joins import views as joins
from audience.hub.keys import views as keys
from audience.hub.members import views as members
from audience.hub.people import views as people
from audience.hub.pixel import views as pixel
from audience.hub.privacy import settings
from audience.hub.privacy import views as privacy
from audience.hub.tokens import account_views as account_tokens
from audience.hub.tokens import game_views as tokens


class DayConverter:
    """A date such as 2026-11-21."""

    regex = r"\d{4}-\d{2}-\d{2}"

    def to_python(self, value: str) -> date:
        return date.fromisoformat(value)

    def to_url(self, value: date) -> str:
        return value.isoformat()


register_converter(DayConverter, "day")

# Under /accounts/, matched before allauth's.
account_urls = [
    path("", account.account, name="account"),
    path("time-zone/", time_zone.time_zone, name="account_time_zone"),
    path("tokens/", account_tokens.account_tokens, name="account_tokens"),
    path("tokens/new/", account_tokens.account_token_new, name="account_token_new"),
    path("tokens/<int:pk>/rotate/", account_tokens.account_token_rotate, name="account_token_rotate"),
    path("tokens/<int:pk>/revoke/", account_tokens.account_token_revoke, name="account_token_revoke"),
    path("email/", account.address, name="account_email"),
    path("email/<str:token>/", account.address_confirm, name="address-confirm"),
    path("invitations/<str:token>/", invitation.accept_invitation, name="invitation"),
]
urlpatterns = [
    path("", games.games, name="games"),
    path("help/", documents.index, name="help"),
    path("help/<path:name>.md", documents.source, name="help-source"),
    path("help/<path:name>/", documents.page, name="help-page"),
    path("llms.txt", documents.llms, name="llms"),
    path("games/new/", games.game_new, name="game-new"),
    path("g/<slug:slug>/events/", events.events, name="events"),
    path("g/<slug:slug>/events/counts/", events.event_counts, name="event-counts"),
    path("g/<slug:slug>/events/<day:day>/<int:pk>/", event_detail.event, name="event"),
    path("g/<slug:slug>/events/rejections/<int:pk>/", event_detail.rejection, name="rejection"),
    path("g/<slug:slug>/events/rejections/<int:pk>/replay/", event_detail.revalidate, name="rejection-replay"),
    path("g/<slug:slug>/people/", people.people, name="people"),
    path("g/<slug:slug>/people/<uuid:pk>/erase/", privacy.person_erase, name="person-erase"),
    path("g/<slug:slug>/help/<slug:name>/", documents.earlier_page, name="document"),
    path("g/<slug:slug>/pixel/", pixel.pixel, name="pixel"),
    path("g/<slug:slug>/keys/", keys.key_list, name="keys"),
    path("g/<slug:slug>/keys/new/", keys.key_new, name="key-new"),
    path("g/<slug:slug>/keys/<int:pk>/change/", keys.key_change, name="key-change"),
    path("g/<slug:slug>/keys/<int:pk>/rename/", keys.key_rename, name="key-rename"),
    path("g/<slug:slug>/keys/<int:pk>/rotate/", keys.key_rotate, name="key-rotate"),
    path("g/<slug:slug>/keys/<int:pk>/revoke/", keys.key_revoke, name="key-revoke"),
    path("g/<slug:slug>/joins/", joins.joins, name="joins"),
    path("g/<slug:slug>/joins/settings/", joins.joins_settings, name="joins-settings"),
    path("g/<slug:slug>/tokens/", tokens.token_list, name="tokens"),
    path("g/<slug:slug>/tokens/new/", tokens.token_new, name="token-new"),
    path("g/<slug:slug>/tokens/<int:pk>/rotate/", tokens.token_rotate, name="token-rotate"),
    path("g/<slug:slug>/tokens/<int:pk>/revoke/", tokens.token_revoke, name="token-revoke"),
    path("g/<slug:slug>/members/", members.member_list, name="members"),
    path("g/<slug:slug>/members/invite/", members.member_invite, name="member-invite"),
    path("g/<slug:slug>/members/<int:pk>/role/", members.member_role, name="member-role"),
    path("g/<slug:slug>/members/<int:pk>/remove/", members.member_remove, name="member-remove"),
    path("g/<slug:slug>/members/invitations/<int:pk>/resend/", members.invitation_resend, name="invitation-resend"),
    path("g/<slug:slug>/members/invitations/<int:pk>/link/", members.invitation_link, name="invitation-link"),
    path("g/<slug:slug>/members/invitations/<int:pk>/revoke/", members.invitation_revoke, name="invitation-revoke"),
    path("g/<slug:slug>/privacy/", privacy.privacy, name="privacy"),
    path("g/<slug:slug>/privacy/erase/", privacy.erase, name="erase"),
    path("g/<slug:slug>/privacy/suppressions/<uuid:pk>/lift/", privacy.suppression_lift, name="suppression-lift"),
    path("g/<slug:slug>/privacy/consent/", settings.consent_edit, name="consent"),
    path("g/<slug:slug>/privacy/retention/", settings.retention_edit, name="retention"),
]
