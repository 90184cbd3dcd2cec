"""An imitation of Steam's sign-in (OpenID 2.0): accounts without passwords, and the check of its assertions."""

import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from postbacks.networks.interface.imitation import ImitationResponse

PREFIX = "/openid/"
LOGIN_PATH = "/openid/login"
APPROVE_PATH = "/openid/approve"
NAMESPACE = "http://specs.openid.net/auth/2.0"
SIGNED = "signed,op_endpoint,claimed_id,identity,return_to,response_nonce,assoc_handle"
ACCOUNTS = {"76561198000000001": "anna", "76561198000000002": "ben", "76561198000000003": "chris"}
# The accounts above, and those of new players.
ACCOUNT = re.compile(r"76561198\d{9}", re.ASCII)
MAX_NONCES = 10_000


class SteamImitation:
    """`origin` is the address of the sandbox. Every method may be called from any thread."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._secret = secrets.token_bytes(32)
        self._unused: dict[str, None] = {}  # the nonces of assertions that were not checked yet, in order
        self._lock = threading.Lock()

    def respond(self, method: str, target: str, body: bytes, now: float) -> ImitationResponse:
        """Answer a request below PREFIX; `now` in Unix seconds."""
        path, _, query = target.partition("?")
        if path == LOGIN_PATH and method == "POST":
            return self._check(dict(parse_qsl(body.decode(errors="replace"))))
        fields = dict(parse_qsl(query))
        if path == LOGIN_PATH and method == "GET":
            return _login_page(fields)
        if path == APPROVE_PATH and method == "GET":
            return self._approve(fields, now)
        return ImitationResponse(404, {"error": f"{method} {path} is not an endpoint of this imitation."})

    def assertion(self, steam_id: str, return_to: str, now: float) -> dict[str, str]:
        """Return the fields with which a browser comes back to the site, signed."""
        nonce = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}{secrets.token_urlsafe(20)}"
        identity = f"{self.origin}/openid/id/{steam_id}"
        fields = {
            "ns": NAMESPACE,
            "mode": "id_res",
            "op_endpoint": f"{self.origin}{LOGIN_PATH}",
            "claimed_id": identity,
            "identity": identity,
            "return_to": return_to,
            "response_nonce": nonce,
            "assoc_handle": "1234567890",
            "signed": SIGNED,
        }
        with self._lock:
            self._unused[nonce] = None
            while len(self._unused) > MAX_NONCES:
                del self._unused[next(iter(self._unused))]
        fields["sig"] = self._signature(fields)
        return {f"openid.{name}": value for name, value in fields.items()}

    def _signature(self, fields: Mapping[str, str]) -> str:
        text = "".join(f"{name}:{fields.get(name, '')}\n" for name in SIGNED.split(","))
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def _check(self, stated: dict[str, str]) -> ImitationResponse:
        """Confirm an assertion once, as Steam does."""
        fields = {name.removeprefix("openid."): value for name, value in stated.items()}
        with self._lock:
            is_unused = fields.get("response_nonce", "") in self._unused
            self._unused.pop(fields.get("response_nonce", ""), None)
        is_signed = hmac.compare_digest(self._signature(fields).encode(), fields.get("sig", "").encode())
        valid = fields.get("mode") == "check_authentication" and is_signed and is_unused
        return ImitationResponse(200, f"ns:{NAMESPACE}\nis_valid:{'true' if valid else 'false'}\n")

    def _approve(self, fields: dict[str, str], now: float) -> ImitationResponse:
        return_to = fields.get("return_to", "")
        if not ACCOUNT.fullmatch(fields.get("account", "")) or urlsplit(return_to).scheme not in ("http", "https"):
            return ImitationResponse(400, {"error": "account and return_to are required."})
        return _redirect(return_to, self.assertion(fields["account"], return_to, now))


def _login_page(fields: dict[str, str]) -> ImitationResponse:
    return_to, realm = fields.get("openid.return_to", ""), fields.get("openid.realm", "")
    if fields.get("openid.mode") != "checkid_setup" or not realm or not return_to.startswith(realm):
        return ImitationResponse(400, {"error": "openid.return_to must be below openid.realm."})
    accounts = {**ACCOUNTS, f"76561198{secrets.randbelow(10**9):09}": "a new player"}
    links = {
        name: f"{APPROVE_PATH}?{urlencode({'account': pk, 'return_to': return_to})}" for pk, name in accounts.items()
    }
    cancel = _with_query(return_to, {"openid.ns": NAMESPACE, "openid.mode": "cancel"})
    items = "".join(f'<li><a href="{escape(link)}">Sign in as {name}</a></li>' for name, link in links.items())
    return ImitationResponse(
        200,
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        '<link rel="icon" href="data:,"><title>Imitation of Steam</title><h1>Imitation of Steam</h1>'
        f"<p>These accounts do not exist at Steam. The site is {escape(realm)}.</p>"
        f'<ul>{items}<li><a href="{escape(cancel)}">Cancel</a></li></ul></html>',
    )


def _redirect(address: str, fields: Mapping[str, str]) -> ImitationResponse:
    return ImitationResponse(302, "", {"Location": _with_query(address, fields)})


def _with_query(address: str, fields: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(fields)}"
