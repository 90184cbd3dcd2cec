"""The examples of docs/pixel.md for a path on a studio's website, run as printed in front of the server."""

import contextlib
import http.client
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from audience.games.keys import NewKey
from audience.models import Event
from config.quickstart.processes import free_port

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "pixel.md").read_text()
SERVER, HOST = "https://events.example", "events.example"
VISITOR = "203.0.113.9"
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
{example}
  }}
}}
"""
CADDY = """
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
{example}
}}
"""
# A Cloudflare Worker is a module with a function `fetch`, which Node can call too.
WORKER = """
import {{ createServer }} from "node:http"
import worker from "./worker.mjs"
createServer(async (request, response) => {{
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const headers = {{ ...request.headers, "cf-connecting-ip": request.headers["x-forwarded-for"] }}
  delete headers.connection
  const body = chunks.length ? Buffer.concat(chunks) : undefined
  const asked = new Request("http://game.example" + request.url, {{ method: request.method, headers, body }})
  const answer = await worker.fetch(asked)
  const sent = Object.fromEntries(answer.headers)
  delete sent["content-encoding"], delete sent["content-length"], delete sent["transfer-encoding"]
  response.writeHead(answer.status, {{ ...sent, "set-cookie": answer.headers.getSetCookie() }})
  response.end(Buffer.from(await answer.arrayBuffer()))
}}).listen({port}, "127.0.0.1")
"""


def example(name: str, server: str) -> str:
    """The code block after the paragraph that begins with `name`, for the server of the test."""
    found = re.search(rf"^{name}[^\n]*:\n\n```\w*\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    assert found, name
    return found[1].replace(SERVER, server)


class Website(NamedTuple):
    """Its port, and the address that its proxy states for a visitor."""

    port: int
    sees: str


@contextlib.contextmanager
def running(command: list[str], port: int, **options: Any) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                http.client.HTTPConnection("127.0.0.1", port, timeout=5).connect()
                break
            assert process.poll() is None, command
            assert time.monotonic() < end, command
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(params=["nginx", "Caddy", "Cloudflare"])
def proxy(request: pytest.FixtureRequest, live_server: Any, settings: Any, tmp_path: Path) -> Iterator[Website]:
    """A studio's website whose proxy is behind a load balancer at 127.0.0.1."""
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, HOST]
    name, port = request.param, free_port()
    program = {"nginx": "nginx", "Caddy": "caddy", "Cloudflare": "node"}[name]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    code = example(name, live_server.url)
    if name == "Cloudflare":
        (tmp_path / "worker.mjs").write_text(code)
        (tmp_path / "server.mjs").write_text(WORKER.format(port=port))
        command = ["node", "server.mjs"]
    else:
        file = tmp_path / "proxy.conf"
        file.write_text((NGINX if name == "nginx" else CADDY).format(port=port, folder=tmp_path, example=code))
        command = (
            ["nginx", "-p", str(tmp_path), "-c", str(file)]
            if name == "nginx"
            else ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]
        )
    with running(command, port, cwd=tmp_path) as website:
        # Caddy ignores the header of a client that it was not told to trust.
        yield Website(website, "127.0.0.1" if name == "Caddy" else VISITOR)


def ask(port: int, method: str, path: str, body: str = "", **headers: str) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body.encode() or None, {"X-Forwarded-For": VISITOR, **named})
    answer = connection.getresponse()
    return answer.status, answer.getheaders(), answer.read()


def test_a_path_of_the_website_passes_on_what_the_pixel_needs_and_nothing_else(proxy: Website, key: NewKey) -> None:
    message = {
        "type": "page",
        "messageId": "m-1",
        "anonymousId": "visitor-0001",
        "consentLevel": "full",
        "context": {"page": {"url": "https://game.example/?ttclid=E.C.P.first"}},
    }
    status, _, answer = ask(
        proxy.port,
        "POST",
        f"/e/beacon/v1/batch?writeKey={key.value}",
        json.dumps({"batch": [message]}),
        Content_Type="text/plain;charset=UTF-8",
        Origin="https://game.example",
    )
    assert status == 200, answer
    event = Event.objects.get()
    assert (event.message_id, event.context["ip"]) == ("m-1", proxy.sees)

    form = {"Content_Type": "application/x-www-form-urlencoded", "X_Requested_With": "afterclick"}
    status, headers, _ = ask(proxy.port, "POST", "/e/s/id", "id=visitor-0001", **form, Origin="https://game.example")
    cookies = [value for name, value in headers if name.lower() == "set-cookie"]
    assert status == 200
    assert [cookie.partition(";")[0] for cookie in cookies] == ["ac_id=visitor-0001", "ac_twin=visitor-0001"]
    assert all("domain" not in cookie.lower() and "secure" in cookie.lower() for cookie in cookies)

    assert ask(proxy.port, "GET", "/e/go/no-such-link")[0] == 404
    for path in (
        "/e/",
        "/e/admin/",
        "/e/sign-in/",
        "/e/api/v1/games",
        "/e/s/../admin/login/",
        "/e/go/%2e%2e/admin/login/",
    ):
        status, headers, body = ask(proxy.port, "GET", path)
        named = {name.lower() for name, _ in headers}
        assert b"csrf" not in body, path
        assert b"Sign in" not in body, path
        assert "www-authenticate" not in named, path
