"""The access token of a service account (RFC 7523): a signed assertion, and the answer of the token endpoint."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from postbacks.networks.google import answers
from postbacks.networks.interface.answers import decode_json, shorten, unanswered_outcome
from postbacks.networks.interface.call import AccessToken, Outcome, Response, Verdict

SCOPE = "https://www.googleapis.com/auth/datamanager"
AUDIENCE = "https://oauth2.googleapis.com/token"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME_SECONDS = 3600  # the longest that Google accepts


def token_form(key: Mapping[str, Any], *, now: int) -> bytes:
    """The form of a request for an access token. ValueError for a key that cannot sign."""
    email, pem = key.get("client_email"), key.get("private_key")
    if not isinstance(email, str) or not isinstance(pem, str):
        raise ValueError("no service account key")
    header = {"alg": "RS256", "typ": "JWT", "kid": str(key.get("private_key_id", ""))}
    claims = {"iss": email, "scope": SCOPE, "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME_SECONDS}
    signed = f"{_encoded(header)}.{_encoded(claims)}"
    signature = _private_key(pem).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return urlencode({"grant_type": GRANT_TYPE, "assertion": f"{signed}.{base64_url(signature)}"}).encode()


def assertion_of(form: bytes) -> str:
    """The assertion in the form: whoever has it gets access tokens until it expires."""
    return parse_qs(form.decode())["assertion"][0]


def read_token(response: Response) -> AccessToken | Outcome:
    """The access token in the answer, or why there is none: `{"error": "invalid_grant", "error_description": "..."}`.

    An error of another form is that of the API.
    """
    if response.status is None:
        return unanswered_outcome(response)
    body = decode_json(response) or {}
    token, error = body.get("access_token"), body.get("error")
    if response.status == 200 and isinstance(token, str) and token:
        return AccessToken(token, float(body.get("expires_in", LIFETIME_SECONDS)))
    if isinstance(error, str) and error and 400 <= response.status < 500 and response.status != 429:
        message = shorten(str(body.get("error_description") or error))
        return Outcome(Verdict.CREDENTIAL, error, message, access="token")
    outcome = answers.classify(response)
    is_final = outcome.verdict in (Verdict.CREDENTIAL, Verdict.TRANSIENT)
    return outcome if is_final else Outcome(Verdict.TRANSIENT, outcome.code, outcome.message)


def base64_url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _encoded(part: Mapping[str, Any]) -> str:
    return base64_url(json.dumps(part, separators=(",", ":")).encode())


def _private_key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("an unusable private key") from error
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key
