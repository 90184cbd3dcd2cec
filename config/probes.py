"""The endpoints for orchestrators and Prometheus: /livez, /readyz and /metrics."""

import hmac

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from redis.backoff import NoBackoff
from redis.retry import Retry

from audience.intake.asgi import Scope, Send
from audience.intake.bodies import Receive
from audience.intake.requests.caller import read_address
from config.gauges import QueueCollector, web_counters

# Headers that a proxy adds.
FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP")
# A separate registry, so that the queues are queried during a scrape only.
QUEUES = CollectorRegistry()
QUEUES.register(QueueCollector())


@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """Answer 200 `ok` if the process can answer at all; uses neither database nor broker."""
    return HttpResponse("ok", content_type="text/plain")


async def answer_livez(scope: Scope, receive: Receive, send: Send) -> None:
    """`livez` as an ASGI application, which answers on the event loop even if all threads are busy."""
    is_safe = scope["method"] in {"GET", "HEAD"}
    body = b"ok" if is_safe else b""
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    if not is_safe:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": 200 if is_safe else 405, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 if database, broker and migrations are ready, else 503, with the state of each."""
    checks = {"database": _database(), "broker": _broker()}
    checks["migrations"] = _migrations() if checks["database"] == "ok" else "unknown: the database is unavailable"
    ready = all(state == "ok" for state in checks.values())
    return JsonResponse({"ready": ready, "checks": checks}, status=200 if ready else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "unavailable: no answer at DATABASE_URL"
    return "ok"


def _broker() -> str:
    # No retries: by default redis-py tries an unavailable server four times over seconds.
    client = redis.Redis.from_url(
        settings.CELERY_BROKER_URL, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
    )
    try:
        client.ping()
    except (redis.RedisError, OSError):
        return "unavailable: no answer at REDIS_URL"
    finally:
        client.close()
    return "ok"


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(pending)} to apply: run manage.py migrate" if pending else "ok"


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer Prometheus text to loopback or with METRICS_TOKEN as bearer token, else 403."""
    if not _may_scrape(request):
        return HttpResponse("Metrics are served to loopback, or with METRICS_TOKEN as bearer.\n", status=403)
    return HttpResponse(generate_latest(web_counters()) + generate_latest(QUEUES), content_type=CONTENT_TYPE_LATEST)


def _may_scrape(request: HttpRequest) -> bool:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if settings.METRICS_TOKEN and hmac.compare_digest(token.encode(), settings.METRICS_TOKEN.encode()):
        return True
    address = read_address(request.META.get("REMOTE_ADDR", ""))
    # A proxy on this machine forwards requests of other machines.
    return address is not None and address.is_loopback and not any(name in request.headers for name in FORWARDED)
