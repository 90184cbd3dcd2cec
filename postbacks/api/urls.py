"""The management API of postbacks, below /api/v1/."""

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from audience.api.urls import GAME
from postbacks.api.checks.views import CheckViewSet
from postbacks.api.deliveries.views import AttemptViewSet, DeliveryViewSet
from postbacks.api.goals.views import GoalViewSet
from postbacks.api.monitoring.alert_views import AlertChoiceViewSet, AlertViewSet, HookViewSet
from postbacks.api.monitoring.health_views import HealthViewSet
from postbacks.api.networks.views import NetworkViewSet
from postbacks.api.postbacks.views import PostbackViewSet
from postbacks.api.replays.views import ReplayViewSet

router = SimpleRouter(trailing_slash=False)
router.register("networks", NetworkViewSet, basename="networks")
router.register(f"{GAME}/postbacks", PostbackViewSet, basename="postbacks")
router.register(f"{GAME}/checks", CheckViewSet, basename="checks")
router.register(f"{GAME}/goals", GoalViewSet, basename="goals")
router.register(f"{GAME}/attempts", AttemptViewSet, basename="attempts")
router.register(f"{GAME}/deliveries", DeliveryViewSet, basename="deliveries")
router.register(f"{GAME}/replays", ReplayViewSet, basename="replays")
router.register(f"{GAME}/alerts", AlertViewSet, basename="alerts")
router.register(f"{GAME}/alert-hooks", HookViewSet, basename="alert_hooks")

# One of each in a game.
singletons = [
    re_path(rf"^{GAME}/health$", HealthViewSet.as_view({"get": "retrieve"}, basename="health")),
    re_path(rf"^{GAME}/health/retry$", HealthViewSet.as_view({"post": "retry"}, basename="health")),
    re_path(
        rf"^{GAME}/alert-choice$",
        AlertChoiceViewSet.as_view({"get": "retrieve", "put": "update"}, basename="alert_choice"),
    ),
]

urlpatterns = [*router.urls, *singletons]
