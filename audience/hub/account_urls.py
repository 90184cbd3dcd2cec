"""Account pages under /accounts/, matched before allauth's."""

from django.urls import path

from audience.hub.account import address, invitation
from audience.hub.account import views as account

urlpatterns = [
    path("", account.account, name="account"),
    path("email/", address.address, name="account_email"),
    path("email/<str:token>/", address.address_confirm, name="address-confirm"),
    path("invitations/<str:token>/", invitation.invitation, name="invitation"),
]
