"""Pages of a person, under /accounts/: before allauth's, which are about signing in."""

from django.urls import path

from audience.hub import account, invitation

urlpatterns = [
    path("", account.account, name="account"),
    path("invitations/<str:token>/", invitation.invitation, name="invitation"),
]
