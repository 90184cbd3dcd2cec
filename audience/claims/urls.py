"""The claim page of each game, and the route by which a server of the studio redeems claim codes."""

from django.urls import path

from audience.claims import steam_views, views
from audience.claims.redeeming import RedeemView
from audience.intake.urls import routes

urlpatterns = [
    path("claim/<slug:slug>/", views.claim, name="claim"),
    path("claim/<slug:slug>/consent/", views.claim_consent, name="claim-consent"),
    path("claim/<slug:slug>/steam/", steam_views.claim_steam, name="claim-steam"),
    path("claim/<slug:slug>/steam/return/", steam_views.claim_steam_return, name="claim-steam-return"),
    path("claim/<slug:slug>/contact/", views.claim_contact, name="claim-contact"),
    path("claim/<slug:slug>/code/", views.claim_code, name="claim-code"),
    *routes("v1/claims", RedeemView),
]
