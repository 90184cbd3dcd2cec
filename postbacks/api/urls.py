"""The part of the management API that belongs to postbacks, below /api/v1/."""

from rest_framework.routers import SimpleRouter

from audience.api.toolkit.routers import GAME, SingletonRouter
from postbacks.api.audit_log.views import AuditLogViewSet
from postbacks.api.checks.views import CheckViewSet
from postbacks.api.deliveries.views import AttemptViewSet, DeliveryViewSet
from postbacks.api.game_settings.exchange_rates import ExchangeRateViewSet
from postbacks.api.game_settings.views import (
    AdClickSettingsViewSet,
    AttributionSettingsViewSet,
    ConsentSettingsViewSet,
    ReportSettingsViewSet,
    RetentionSettingsViewSet,
)
from postbacks.api.goals.views import GoalViewSet
from postbacks.api.hooks.views import HookViewSet
from postbacks.api.monitoring.alert_views import AlertChoiceViewSet, AlertViewSet
from postbacks.api.monitoring.health_views import HealthViewSet
from postbacks.api.networks.views import NetworkViewSet
from postbacks.api.postbacks.views import PostbackViewSet
from postbacks.api.replays.views import ReplayViewSet

singletons = SingletonRouter(trailing_slash=False)
singletons.register(f"{GAME}/settings/reports", ReportSettingsViewSet, basename="report_settings")
singletons.register(f"{GAME}/settings/exchange-rates", ExchangeRateViewSet, basename="exchange_rates")
singletons.register(f"{GAME}/settings/attribution", AttributionSettingsViewSet, basename="attribution_settings")
singletons.register(f"{GAME}/settings/ad-clicks", AdClickSettingsViewSet, basename="ad_click_settings")
singletons.register(f"{GAME}/settings/consent", ConsentSettingsViewSet, basename="consent_settings")
singletons.register(f"{GAME}/settings/retention", RetentionSettingsViewSet, basename="retention_settings")
singletons.register(f"{GAME}/health", HealthViewSet, basename="health")
singletons.register(f"{GAME}/alert-choice", AlertChoiceViewSet, basename="alert_choice")

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
router.register(f"{GAME}/audit-log", AuditLogViewSet, basename="audit_log")

urlpatterns = [*singletons.urls, *router.urls]
