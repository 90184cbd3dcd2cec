"""The part of the management API that belongs to postbacks, below /api/v1/."""

from typing import Any

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from audience.api.toolkit.routers import GAME, SingletonRouter
from postbacks.api.audit_log.views import AuditLogViewSet
from postbacks.api.catalog.views import CatalogEventViewSet, CatalogViewSet, ValidateViewSet
from postbacks.api.checks.views import CheckViewSet
from postbacks.api.conversions.views import ConversionViewSet
from postbacks.api.costs.views import CostViewSet
from postbacks.api.deliveries.views import AttemptViewSet, DeliveryViewSet
from postbacks.api.game_settings.exchange_rates import ExchangeRateViewSet
from postbacks.api.game_settings.joins import JoinSettingsViewSet
from postbacks.api.game_settings.views import (
    AdClickSettingsViewSet,
    AttributionSettingsViewSet,
    ConsentSettingsViewSet,
    ReportSettingsViewSet,
    RetentionSettingsViewSet,
)
from postbacks.api.goals.views import GoalViewSet
from postbacks.api.hooks.views import HookViewSet
from postbacks.api.links.views import LinkViewSet
from postbacks.api.monitoring.alert_views import AlertChoiceViewSet, AlertViewSet
from postbacks.api.monitoring.health_views import HealthViewSet
from postbacks.api.networks.views import NetworkViewSet
from postbacks.api.people.views import PersonViewSet
from postbacks.api.postbacks.views import PostbackViewSet
from postbacks.api.replays.views import ReplayViewSet
from postbacks.api.reports.views import ReportViewSet
from postbacks.api.steam.views import SteamNumbersViewSet

singletons = SingletonRouter(trailing_slash=False)
singletons.register(f"{GAME}/settings/reports", ReportSettingsViewSet, basename="report_settings")
singletons.register(f"{GAME}/settings/exchange-rates", ExchangeRateViewSet, basename="exchange_rates")
singletons.register(f"{GAME}/settings/attribution", AttributionSettingsViewSet, basename="attribution_settings")
singletons.register(f"{GAME}/settings/ad-clicks", AdClickSettingsViewSet, basename="ad_click_settings")
singletons.register(f"{GAME}/settings/joins", JoinSettingsViewSet, basename="join_settings")
singletons.register(f"{GAME}/settings/consent", ConsentSettingsViewSet, basename="consent_settings")
singletons.register(f"{GAME}/settings/retention", RetentionSettingsViewSet, basename="retention_settings")
singletons.register(f"{GAME}/catalog", CatalogViewSet, basename="catalog")
singletons.register(f"{GAME}/catalog/event", CatalogEventViewSet, basename="catalog_event")
singletons.register(f"{GAME}/validate", ValidateViewSet, basename="validate")
singletons.register(f"{GAME}/health", HealthViewSet, basename="health")
singletons.register(f"{GAME}/alert-choice", AlertChoiceViewSet, basename="alert_choice")

router = SimpleRouter(trailing_slash=False)
router.register("networks", NetworkViewSet, basename="networks")
router.register(f"{GAME}/postbacks", PostbackViewSet, basename="postbacks")
router.register(f"{GAME}/checks", CheckViewSet, basename="checks")
router.register(f"{GAME}/goals", GoalViewSet, basename="goals")
router.register(f"{GAME}/links", LinkViewSet, basename="links")
router.register(f"{GAME}/attempts", AttemptViewSet, basename="attempts")
router.register(f"{GAME}/deliveries", DeliveryViewSet, basename="deliveries")
router.register(f"{GAME}/replays", ReplayViewSet, basename="replays")
router.register(f"{GAME}/alerts", AlertViewSet, basename="alerts")
router.register(f"{GAME}/alert-hooks", HookViewSet, basename="alert_hooks")
router.register(f"{GAME}/conversions", ConversionViewSet, basename="conversions")
router.register(f"{GAME}/people", PersonViewSet, basename="people")
router.register(f"{GAME}/reports", ReportViewSet, basename="reports")
router.register(f"{GAME}/audit-log", AuditLogViewSet, basename="audit_log")

UPLOADED: dict[str, Any] = {"get": "list", "post": "create", "delete": "destroy"}

urlpatterns = [
    *singletons.urls,
    *router.urls,
    re_path(f"^{GAME}/costs$", CostViewSet.as_view(UPLOADED, basename="costs", detail=False)),
    re_path(f"^{GAME}/costs/uploads$", CostViewSet.as_view({"get": "uploads"}, basename="costs", detail=False)),
    re_path(f"^{GAME}/costs/gaps$", CostViewSet.as_view({"get": "gaps"}, basename="costs", detail=False)),
    re_path(f"^{GAME}/steam-numbers$", SteamNumbersViewSet.as_view(UPLOADED, basename="steam_numbers", detail=False)),
    re_path(
        f"^{GAME}/steam-numbers/uploads$",
        SteamNumbersViewSet.as_view({"get": "uploads"}, basename="steam_numbers", detail=False),
    ),
]
