from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from audience.hub.urls import account_urls
from audience.intake.middleware import LINK_VIEW
from config import probes

# The admin's login form has no second factor.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("livez", probes.livez, name="livez"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", probes.metrics, name="metrics"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    # As JSON, which is rendered in a fraction of the time of YAML.
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url="/api/schema/?format=json"), name="docs"),
    path("api/v1/", include("config.api_urls")),
    path("accounts/", include(account_urls)),
    path("accounts/", include("config.account_urls")),
    path("admin/", admin.site.urls),
    path("", include("audience.intake.urls")),
    path("go/<path:link>", LINK_VIEW, name="tracking-link"),
    path("", include("audience.claims.urls")),
    path("demo/", include("config.demo.urls")),
    path("", include("audience.hub.urls")),
    path("", include("postbacks.hub.urls")),
]

handler500 = "config.errors.server_error"
