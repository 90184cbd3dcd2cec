from django.urls import path

from postbacks.hub.alerts import hook_views
from postbacks.hub.alerts import views as alerts
from postbacks.hub.audit_log import views as audit_log
from postbacks.hub.campaigns import cohort_views
from postbacks.hub.campaigns import views as campaigns
from postbacks.hub.catalog import views as catalog
from postbacks.hub.comparison import deliveries
from postbacks.hub.comparison import views as comparison
from postbacks.hub.conversions import views as conversions
from postbacks.hub.costs import deletion as cost_deletion
from postbacks.hub.costs import views as costs
from postbacks.hub.delivery_log import views as delivery_log
from postbacks.hub.game_settings import views as game_settings
from postbacks.hub.goals import views as goals
from postbacks.hub.guide import views as guide
from postbacks.hub.imitations import views as imitations
from postbacks.hub.integrations import ad_clicks
from postbacks.hub.integrations import views as integrations
from postbacks.hub.links import views as links
from postbacks.hub.overview import set_aside_views
from postbacks.hub.overview import views as overview
from postbacks.hub.people import views as people
from postbacks.hub.preview import views as preview
from postbacks.hub.privacy import views as privacy
from postbacks.hub.replays import views as replays
from postbacks.hub.settings import actions, copying, goal_row, request_preview
from postbacks.hub.settings import views as settings
from postbacks.hub.steam import deletion as steam_deletion
from postbacks.hub.steam import views as steam

INTEGRATION = "g/<slug:slug>/integrations/<slug:network>/"

urlpatterns = [
    path("imitations/", imitations.imitations, name="imitations"),
    path("g/<slug:slug>/", overview.overview, name="overview"),
    path("g/<slug:slug>/set-aside/retry/", set_aside_views.set_aside_retry, name="set-aside-retry"),
    path("g/<slug:slug>/start/", guide.guide, name="guide"),
    path("g/<slug:slug>/start/key/", guide.guide_key, name="guide-key"),
    path("g/<slug:slug>/campaigns/", campaigns.campaigns, name="campaigns"),
    path("g/<slug:slug>/campaigns/export/", campaigns.campaigns_export, name="campaigns-export"),
    path("g/<slug:slug>/campaigns/players/", campaigns.campaign_players, name="campaign-players"),
    path("g/<slug:slug>/campaigns/conversions/", campaigns.campaign_conversions, name="campaign-conversions"),
    path("g/<slug:slug>/campaigns/cohorts/", cohort_views.cohort_list, name="cohorts"),
    path("g/<slug:slug>/campaigns/cohorts/export/", cohort_views.cohorts_export, name="cohorts-export"),
    path("g/<slug:slug>/campaigns/settings/", game_settings.report_settings, name="report-settings"),
    path("g/<slug:slug>/campaigns/costs/", costs.cost_list, name="costs"),
    path("g/<slug:slug>/campaigns/costs/sample/", costs.cost_sample, name="cost-sample"),
    path("g/<slug:slug>/campaigns/costs/upload/", costs.cost_upload, name="cost-upload"),
    path("g/<slug:slug>/campaigns/costs/delete/", cost_deletion.cost_delete, name="cost-delete"),
    path("g/<slug:slug>/campaigns/costs/columns/", costs.cost_columns, name="cost-columns"),
    path("g/<slug:slug>/campaigns/steam/", steam.steam_numbers, name="steam-numbers"),
    path("g/<slug:slug>/campaigns/steam/sample/", steam.steam_sample, name="steam-sample"),
    path("g/<slug:slug>/campaigns/steam/upload/", steam.steam_upload, name="steam-upload"),
    path("g/<slug:slug>/campaigns/steam/delete/", steam_deletion.steam_delete, name="steam-delete"),
    path("g/<slug:slug>/conversions/", conversions.conversions, name="conversions"),
    path("g/<slug:slug>/conversions/pipeline/", conversions.conversion_funnel, name="conversion-funnel"),
    path("g/<slug:slug>/conversions/export/", conversions.conversions_export, name="conversions-export"),
    path("g/<slug:slug>/conversions/<uuid:pk>/", conversions.conversion, name="conversion"),
    path("g/<slug:slug>/people/<uuid:pk>/", people.person, name="person"),
    path("g/<slug:slug>/alerts/", alerts.alerts, name="alerts"),
    path("g/<slug:slug>/alerts/choice/", alerts.alert_choice, name="alert-choice"),
    path("g/<slug:slug>/alerts/hooks/add/", hook_views.hook_add, name="hook-add"),
    path("g/<slug:slug>/alerts/hooks/<int:pk>/change/", hook_views.hook_change, name="hook-change"),
    path("g/<slug:slug>/alerts/hooks/<int:pk>/rotate/", hook_views.hook_rotate, name="hook-rotate"),
    path("g/<slug:slug>/alerts/hooks/<int:pk>/enable/", hook_views.hook_enable, name="hook-enable"),
    path("g/<slug:slug>/alerts/hooks/<int:pk>/disable/", hook_views.hook_disable, name="hook-disable"),
    path("g/<slug:slug>/alerts/hooks/<int:pk>/test/", hook_views.hook_test, name="hook-test"),
    path("g/<slug:slug>/alerts/hooks/<int:pk>/delete/", hook_views.hook_delete, name="hook-delete"),
    path("g/<slug:slug>/privacy/people/<uuid:pk>/", privacy.privacy_person, name="privacy-person"),
    path("g/<slug:slug>/privacy/people/<uuid:pk>/export/", privacy.privacy_export, name="privacy-export"),
    path("g/<slug:slug>/catalogue/", catalog.catalog, name="catalog"),
    path("g/<slug:slug>/catalogue/event/", catalog.catalog_event, name="catalog-event"),
    path("g/<slug:slug>/catalogue/describe/", catalog.catalog_describe, name="catalog-describe"),
    path("g/<slug:slug>/catalogue/forget/", catalog.catalog_forget, name="catalog-forget"),
    path("g/<slug:slug>/goals/", goals.goals, name="goals"),
    path("g/<slug:slug>/goals/add/", goals.goal_add, name="goal-add"),
    path("g/<slug:slug>/goals/<uuid:pk>/edit/", goals.goal_edit, name="goal-edit"),
    path("g/<slug:slug>/goals/<uuid:pk>/delete/", goals.goal_delete, name="goal-delete"),
    path("g/<slug:slug>/links/", links.link_list, name="links"),
    path("g/<slug:slug>/links/add/", links.link_add, name="link-add"),
    path("g/<slug:slug>/links/<int:pk>/", links.link_detail, name="link"),
    path("g/<slug:slug>/links/<int:pk>/qr.svg", links.link_qr, name="link-qr"),
    path("g/<slug:slug>/links/<int:pk>/edit/", links.link_edit, name="link-edit"),
    path("g/<slug:slug>/links/<int:pk>/archive/", links.link_archive, name="link-archive"),
    path("g/<slug:slug>/links/<int:pk>/restore/", links.link_restore, name="link-restore"),
    path("g/<slug:slug>/settings/", game_settings.game_settings, name="game-settings"),
    path("g/<slug:slug>/settings/general/", game_settings.settings_general, name="settings-general"),
    path("g/<slug:slug>/settings/reports/", game_settings.settings_reports, name="settings-reports"),
    path("g/<slug:slug>/settings/rates/", game_settings.settings_rates, name="settings-rates"),
    path("g/<slug:slug>/settings/rates/sample/", game_settings.rates_sample, name="rates-sample"),
    path("g/<slug:slug>/settings/attribution/", game_settings.settings_attribution, name="settings-attribution"),
    path("g/<slug:slug>/audit-log/", audit_log.audit_log, name="audit-log"),
    path("g/<slug:slug>/audit-log/export/", audit_log.audit_log_export, name="audit-log-export"),
    path("g/<slug:slug>/integrations/", integrations.integrations, name="integrations"),
    path("g/<slug:slug>/integrations/ad-clicks/", ad_clicks.ad_clicks_edit, name="ad-clicks"),
    path(INTEGRATION, integrations.integration, name="integration"),
    path(INTEGRATION + "quality/", integrations.match_quality, name="quality"),
    path(INTEGRATION + "compare/", comparison.comparison, name="comparison"),
    path(INTEGRATION + "compare/export/", comparison.comparison_export, name="comparison-export"),
    path(INTEGRATION + "deliveries/", deliveries.deliveries, name="deliveries"),
    path(INTEGRATION + "add/", settings.postback_add, name="postback-add"),
    path(INTEGRATION + "request/", request_preview.request_preview, name="request-preview"),
    path(INTEGRATION + "goal-row/", goal_row.goal_row, name="goal-row"),
    path(INTEGRATION + "checks/<uuid:pk>/", settings.check, name="check"),
    path(INTEGRATION + "preview/", preview.preview_page, name="preview"),
    path(INTEGRATION + "dry-run/", preview.dry_run_new, name="dry-run-new"),
    path(INTEGRATION + "<uuid:pk>/dry-run/", preview.dry_run_page, name="dry-run"),
    path(INTEGRATION + "test/", preview.test_conversion, name="test-conversion"),
    path(INTEGRATION + "replays/", replays.replay_list, name="replays"),
    path(INTEGRATION + "replays/start/", replays.replay_start, name="replay-start"),
    path(INTEGRATION + "replays/<uuid:pk>/cancel/", replays.replay_cancel, name="replay-cancel"),
    path(INTEGRATION + "log/export/", delivery_log.log_export, name="delivery-log-export"),
    path(INTEGRATION + "attempts/<int:pk>/", delivery_log.attempt_detail, name="attempt"),
    path(INTEGRATION + "<uuid:pk>/edit/", settings.postback_edit, name="postback-edit"),
    path(INTEGRATION + "<uuid:pk>/copy/", copying.postback_copy, name="postback-copy"),
    path(INTEGRATION + "<uuid:pk>/enable/", actions.postback_enable, name="postback-enable"),
    path(INTEGRATION + "<uuid:pk>/disable/", actions.postback_disable, name="postback-disable"),
    path(INTEGRATION + "<uuid:pk>/hold/", actions.postback_hold, name="postback-hold"),
    path(INTEGRATION + "<uuid:pk>/release/", actions.postback_release, name="postback-release"),
    path(INTEGRATION + "<uuid:pk>/try-now/", actions.postback_try_now, name="postback-try-now"),
    path(INTEGRATION + "<uuid:pk>/check/", actions.postback_recheck, name="postback-recheck"),
    path(INTEGRATION + "<uuid:pk>/roll-back/", actions.postback_roll_back, name="postback-roll-back"),
    path(INTEGRATION + "<uuid:pk>/history/", actions.postback_history, name="postback-history"),
    path(INTEGRATION + "<uuid:pk>/delete/", actions.postback_delete, name="postback-delete"),
    path(
        "g/<slug:slug>/conversions/deliveries/<uuid:pk>/send-again/",
        replays.delivery_send_again,
        name="delivery-send-again",
    ),
    path(
        "g/<slug:slug>/conversions/deliveries/<uuid:pk>/try-now/",
        replays.delivery_try_now,
        name="delivery-try-now",
    ),
]
