"""The demo page (config/demo/availability.py says where it exists)."""

from django.urls import path

from config.demo import views

urlpatterns = [
    path("", views.demo_page, name="demo"),
    path("results/", views.demo_results, name="demo-results"),
    path("ads/<slug:kind>/", views.demo_ad, name="demo-ad"),
    path("play/", views.demo_play, name="demo-play"),
    path("restart/", views.demo_restart, name="demo-restart"),
]
