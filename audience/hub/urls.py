from django.urls import path

from audience.hub import events, home, keys, privacy

urlpatterns = [
    path("", home.games, name="games"),
    path("g/<slug:slug>/events/", events.events, name="events"),
    path("g/<slug:slug>/keys/", keys.key_list, name="keys"),
    path("g/<slug:slug>/keys/new/", keys.key_new, name="key-new"),
    path("g/<slug:slug>/keys/<int:pk>/rotate/", keys.key_rotate, name="key-rotate"),
    path("g/<slug:slug>/keys/<int:pk>/revoke/", keys.key_revoke, name="key-revoke"),
    path("g/<slug:slug>/privacy/", privacy.privacy, name="privacy"),
    path("g/<slug:slug>/privacy/erase/", privacy.erase, name="erase"),
]
