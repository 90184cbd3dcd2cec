"""The management API below /api/v1/, except what belongs to postbacks (postbacks/api/urls.py)."""

from rest_framework.routers import SimpleRouter

from audience.api.games.views import GamesViewSet
from audience.api.invitations.views import InvitationViewSet
from audience.api.keys.views import KeyViewSet
from audience.api.members.views import MemberViewSet
from audience.api.own_token.views import OwnTokenViewSet
from audience.api.tokens.views import TokenViewSet
from audience.api.toolkit.routers import GAME, SingletonRouter

singletons = SingletonRouter(trailing_slash=False)
singletons.register("token", OwnTokenViewSet, basename="token")

router = SimpleRouter(trailing_slash=False)
router.register("games", GamesViewSet, basename="games")
router.register(f"{GAME}/members", MemberViewSet, basename="members")
router.register(f"{GAME}/invitations", InvitationViewSet, basename="invitations")
router.register(f"{GAME}/keys", KeyViewSet, basename="keys")
router.register(f"{GAME}/tokens", TokenViewSet, basename="tokens")

urlpatterns = [*singletons.urls, *router.urls]
