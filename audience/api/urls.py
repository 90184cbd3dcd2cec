"""The management API below /api/v1/, except what belongs to postbacks (postbacks/api/urls.py)."""

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from audience.api.consent.views import ConsentViewSet
from audience.api.erasures.views import ErasureViewSet, SuppressionViewSet
from audience.api.events.views import EventViewSet
from audience.api.games.views import GamesViewSet
from audience.api.invitations.views import InvitationViewSet
from audience.api.keys.views import KeyViewSet
from audience.api.members.views import MemberViewSet
from audience.api.own_token.views import OwnTokenViewSet
from audience.api.rejections.views import RejectionViewSet
from audience.api.tokens.views import TokenViewSet
from audience.api.toolkit.patterns import DAY, NUMBER
from audience.api.toolkit.routers import GAME, SingletonRouter

singletons = SingletonRouter(trailing_slash=False)
singletons.register("token", OwnTokenViewSet, basename="token")

router = SimpleRouter(trailing_slash=False)
router.register("games", GamesViewSet, basename="games")
router.register(f"{GAME}/members", MemberViewSet, basename="members")
router.register(f"{GAME}/invitations", InvitationViewSet, basename="invitations")
router.register(f"{GAME}/keys", KeyViewSet, basename="keys")
router.register(f"{GAME}/tokens", TokenViewSet, basename="tokens")
router.register(f"{GAME}/rejections", RejectionViewSet, basename="rejections")
router.register(f"{GAME}/erasures", ErasureViewSet, basename="erasures")
router.register(f"{GAME}/suppressions", SuppressionViewSet, basename="suppressions")

urlpatterns = [
    *singletons.urls,
    *router.urls,
    re_path(
        f"^{GAME}/consent$",
        ConsentViewSet.as_view({"get": "list", "put": "update"}, basename="consent", detail=False),
    ),
    re_path(f"^{GAME}/events$", EventViewSet.as_view({"get": "list"}, basename="events", detail=False)),
    # An event is found by its day and id, as in the Hub.
    re_path(
        f"^{GAME}/events/(?P<day>{DAY})/(?P<id>{NUMBER})$",
        EventViewSet.as_view({"get": "retrieve"}, basename="events", detail=True),
    ),
]
