"""The routes that PixelMiddleware answers."""

from django.urls import path

from audience.pixel import views

urlpatterns = [
    path("s/<str:name>.js", views.script_file),
    path("s/to", views.follow_link),
    path("s/id", views.visitor_id),
]
