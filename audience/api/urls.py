"""The management API below /api/v1/, except what belongs to postbacks (postbacks/api/urls.py)."""

from rest_framework.routers import SimpleRouter

from audience.api.keys.views import KeyViewSet

# In addresses of operations of one game.
GAME = r"games/(?P<game>[-a-zA-Z0-9_]+)"

# The basename begins the operation ids: keys_list, keys_create, ...
router = SimpleRouter(trailing_slash=False)
router.register(f"{GAME}/keys", KeyViewSet, basename="keys")

urlpatterns = router.urls
