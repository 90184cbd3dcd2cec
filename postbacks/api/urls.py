"""The part of the management API that belongs to postbacks, below /api/v1/."""

from rest_framework.routers import SimpleRouter

from audience.api.toolkit.routers import GAME, SingletonRouter
from postbacks.api.audit_log.views import AuditLogViewSet
from postbacks.api.game_settings.exchange_rates import ExchangeRateViewSet
from postbacks.api.game_settings.views import (
    AdClickSettingsViewSet,
    AttributionSettingsViewSet,
    ConsentSettingsViewSet,
    ReportSettingsViewSet,
    RetentionSettingsViewSet,
)

singletons = SingletonRouter(trailing_slash=False)
singletons.register(f"{GAME}/settings/reports", ReportSettingsViewSet, basename="report_settings")
singletons.register(f"{GAME}/settings/exchange-rates", ExchangeRateViewSet, basename="exchange_rates")
singletons.register(f"{GAME}/settings/attribution", AttributionSettingsViewSet, basename="attribution_settings")
singletons.register(f"{GAME}/settings/ad-clicks", AdClickSettingsViewSet, basename="ad_click_settings")
singletons.register(f"{GAME}/settings/consent", ConsentSettingsViewSet, basename="consent_settings")
singletons.register(f"{GAME}/settings/retention", RetentionSettingsViewSet, basename="retention_settings")

router = SimpleRouter(trailing_slash=False)
router.register(f"{GAME}/audit-log", AuditLogViewSet, basename="audit_log")

urlpatterns = [*singletons.urls, *router.urls]
