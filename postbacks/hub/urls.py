from django.urls import path

from postbacks.hub import changes, checks, conversions, integrations, log, overview, person

INTEGRATION = "g/<slug:slug>/integrations/<slug:network>/"

urlpatterns = [
    path("g/<slug:slug>/", overview.overview, name="overview"),
    path("g/<slug:slug>/conversions/", conversions.conversions, name="conversions"),
    path("g/<slug:slug>/people/<uuid:pk>/", person.person, name="person"),
    path("g/<slug:slug>/integrations/", integrations.integrations, name="integrations"),
    path(INTEGRATION, integrations.integration, name="integration"),
    path(INTEGRATION + "add/", checks.postback_add, name="postback-add"),
    path(INTEGRATION + "checks/<uuid:pk>/", checks.check, name="check"),
    path(INTEGRATION + "attempts/<int:pk>/", log.attempt_detail, name="attempt"),
    path(INTEGRATION + "<uuid:pk>/edit/", checks.postback_edit, name="postback-edit"),
    path(INTEGRATION + "<uuid:pk>/enable/", changes.postback_enable, name="postback-enable"),
    path(INTEGRATION + "<uuid:pk>/disable/", changes.postback_disable, name="postback-disable"),
    path(INTEGRATION + "<uuid:pk>/delete/", changes.postback_delete, name="postback-delete"),
]
