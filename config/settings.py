"""One settings file. Every value an operator sets comes from the environment (see .env.example);
a bad or missing one stops the boot with one line that names it (config/environment.py)."""

import sys
from pathlib import Path
from typing import Any

import django_stubs_ext
import environ

from config import cache, environment, logs, metric_files, rest_settings, sign_in, task_settings
from postbacks.networks import NETWORKS

# Makes ModelAdmin[...] and other generics subscriptable at run time.
django_stubs_ext.monkeypatch()
metric_files.install()

BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(BASE_DIR / ".env")

DEBUG = environment.flag("DEBUG")
SECRET_KEY = environment.secret_key()
SECRET_KEY_FALLBACKS = environment.secret_key_fallbacks()
CREDENTIAL_KEYS = environment.credential_keys()
ALLOWED_HOSTS = environment.items("ALLOWED_HOSTS") or ["127.0.0.1", "localhost", "[::1]"]
PUBLIC_URL = environment.url("PUBLIC_URL", f"http://127.0.0.1:{environment.port()}")
METRICS_TOKEN = environment.text("METRICS_TOKEN")
TRUSTED_PROXIES = environment.trusted_proxies()
# By kind of network: base address, address of access tokens, and requests per second to one pixel at most.
NETWORK_URLS = {kind: environment.url(network.url_variable, network.default_url) for kind, network in NETWORKS.items()}
NETWORK_TOKEN_URLS = environment.token_urls(NETWORKS.values())
NETWORK_RATES = {kind: environment.network_rate(network) for kind, network in NETWORKS.items()}
# Where visitors of a claim page sign in, and what that is unless the variable is set.
STEAM_OPENID_DEFAULT_URL = "https://steamcommunity.com/openid/login"
STEAM_OPENID_URL = environment.url("STEAM_OPENID_URL", STEAM_OPENID_DEFAULT_URL)

INSTALLED_APPS = [
    "config",
    "postbacks",
    "audience",
    "consent",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "django_prometheus",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "axes",
    "auditlog",
    "csp",
]

MIDDLEWARE = [
    "audience.intake.middleware.IntakeMiddleware",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "audience.pixel.middleware.PixelMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.middleware.PermissionsPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "config.middleware.CallerAuditlogMiddleware",
    "config.middleware.SessionSeenMiddleware",
    "config.middleware.TimeZoneMiddleware",
    "config.middleware.AdminSecondFactorMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "config.kept_forms.KeptFormMiddleware",
    "audience.hub.toolkit.toasts.ToastMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Database and broker ------------------------------------------------------------------------
DATABASE = environment.database()
DATABASES = {
    "default": {
        **DATABASE,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # With a pooler the next fetch may use another connection, in which the cursor does not exist.
        "DISABLE_SERVER_SIDE_CURSORS": True,
        # A lost host is detected after ten seconds of sending, or a minute of waiting for an answer. TCP's default is
        # a quarter of an hour.
        "OPTIONS": {
            "keepalives_idle": 30,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            **DATABASE.get("OPTIONS", {}),
            "connect_timeout": 3,
        },
    }
}

REDIS_URL = environment.url("REDIS_URL", schemes=("redis", "rediss", "unix"))
CACHES = {"default": {"BACKEND": "config.cache.SharedCache", "LOCATION": REDIS_URL, "KEY_PREFIX": cache.PREFIX}}

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# No retries: the periodic sweep finds the work of a lost wake-up.
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5, "socket_connect_timeout": 3, "health_check_interval": 10}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Celery closes the connection around every task by default, and tasks here are many and short. config/celery.py
# follows CONN_MAX_AGE instead.
CELERY_DB_REUSE_MAX = sys.maxsize
CELERY_TASK_QUEUES, CELERY_TASK_ROUTES = task_settings.TASK_QUEUES, task_settings.TASK_ROUTES
CELERY_TASK_DEFAULT_QUEUE = task_settings.DEFAULT_QUEUE
CELERY_IMPORTS = ["config.heartbeat"]
CELERY_BEAT_SCHEDULER = "config.beat:Scheduler"
CELERY_BEAT_SCHEDULE, MESSAGE_EXPIRY = task_settings.BEAT, task_settings.MESSAGE_EXPIRY

# How `audience` calls `postbacks` without importing it (docs/architecture.md, "Packages").
CONVERSIONS_READY_TASK = "postbacks.tasks.fan_out"
ERASURE_HOOK = "postbacks.erasure.erase_deliveries"
ERASURE_DONE_HOOK = "postbacks.outbox.hook_messages.add_for_finished_erasure"
CLICK_PARAMETERS_HOOK = "postbacks.configs.click_parameters.of_game"
STEAM_CHECK_HOOK = "postbacks.http.steam.check_authentication"

# Accounts and mail --------------------------------------------------------------------------
globals().update(sign_in.SETTINGS)
REQUIRE_MFA_FOR_ADMINS = environment.flag("REQUIRE_MFA_FOR_ADMINS")
AUDIT_LOG_KEPT_DAYS = environment.audit_log_kept_days()
globals().update(environment.email())  # EMAIL_BACKEND, EMAIL_HOST and others, from EMAIL_URL
DEFAULT_FROM_EMAIL = SERVER_EMAIL = environment.from_email()
OPERATORS_EMAIL = environment.operators_email()
# Hosts inside the studio's network that an alert webhook, or a custom URL, may call.
ALERT_PRIVATE_HOSTS = environment.hosts("ALERT_PRIVATE_HOSTS")
POSTBACK_PRIVATE_HOSTS = environment.hosts("POSTBACK_PRIVATE_HOSTS")

# REST ---------------------------------------------------------------------------------------
REST_FRAMEWORK, SPECTACULAR_SETTINGS = rest_settings.REST_FRAMEWORK, rest_settings.SPECTACULAR_SETTINGS
API_REQUESTS_PER_MINUTE = environment.requests_per_minute()
LINK_CLICKS_PER_MINUTE = environment.link_clicks_per_minute()
# Bodies are read raw and bounded by each dialect (the largest is 4 MB, with a separate limit after gunzip).
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

# Pages --------------------------------------------------------------------------------------
TIME_ZONE = "UTC"
# English only: looking up the language for every number took a tenth of a page's time.
USE_I18N = False
FORMAT_MODULE_PATH = ["config.formats"]
STATIC_URL = "/static/"
STATICFILES_DIRS = [
    BASE_DIR / "static",
    ("docs", BASE_DIR / "docs" / "images"),
    *((f"networks/{kind}", network.folder / "static") for kind, network in NETWORKS.items()),
]
# Served from the source folders: an upgrade needs no collectstatic.
WHITENOISE_USE_FINDERS = True
SECURE = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
CSRF_FAILURE_VIEW = "config.kept_forms.token_refused"
SECURE_SSL_REDIRECT = SECURE
# A redirected POST loses its body, and internal probes use plain HTTP.
SECURE_REDIRECT_EXEMPT = [
    r"^/*(v1|beacon/v1|pixel/v1|(api/){1,2}client)/",
    r"^/*(devices|events|sourceConfig|rsaMetrics)/*$",
    r"^(livez|readyz|metrics)$",
]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "img-src": ["'self'", "data:"],
        **dict.fromkeys(["script-src", "style-src", "font-src", "connect-src", "form-action"], ["'self'"]),
        **dict.fromkeys(["base-uri", "frame-ancestors"], ["'none'"]),
    }
}
# auditlog would store what a client states, and fail if it is longer than its column.
AUDITLOG_CID_HEADER = None
LOGGING = logs.config(as_json=environment.json_logs())
