"""What the sandbox networks accept. Made up, in the real formats, and worth nothing anywhere else."""

import base64
import hashlib
import json


def _tiktok_token(name: str) -> str:
    """Forty hex digits, as Events Manager shows a token."""
    return hashlib.sha256(f"afterclick sandbox {name}".encode()).hexdigest()[:40]


def _reddit_token(name: str) -> str:
    """A JWT's three parts; Reddit's are 700 characters and longer, and a cut one must not work."""
    head = _part(json.dumps({"alg": "RS256", "kid": "SHA256:sandbox", "typ": "JWT"}).encode())
    claims = _part(json.dumps({"sub": "user", "aid": name, "scp": "adsconversions", "note": "sandbox " * 30}).encode())
    signature = _part(b"".join(hashlib.sha256(f"{name} {n}".encode()).digest() for n in range(8)))
    return f"{head}.{claims}.{signature}"


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


TIKTOK_PIXEL = "CSANDBOX0AFTERCLICK1"
TIKTOK_SECOND_PIXEL = "CSANDBOX0AFTERCLICK2"
TIKTOK_TOKEN = _tiktok_token("token 1")
TIKTOK_ROTATED_TOKEN = _tiktok_token("token 2")
TIKTOK_FOREIGN_TOKEN = _tiktok_token("token of another advertiser")

REDDIT_PIXEL = "a2_sandbox01"
REDDIT_SECOND_PIXEL = "a2_sandbox02"
REDDIT_TOKEN = _reddit_token("token 1")
REDDIT_ROTATED_TOKEN = _reddit_token("token 2")
REDDIT_FOREIGN_TOKEN = _reddit_token("token of another advertiser")

# network -> credential -> the pixels it may post to
ACCOUNTS: dict[str, dict[str, set[str]]] = {
    "tiktok": {
        TIKTOK_TOKEN: {TIKTOK_PIXEL, TIKTOK_SECOND_PIXEL},
        TIKTOK_ROTATED_TOKEN: {TIKTOK_PIXEL, TIKTOK_SECOND_PIXEL},
        TIKTOK_FOREIGN_TOKEN: {"CSANDBOX0OTHERGAME01"},
    },
    "reddit": {
        REDDIT_TOKEN: {REDDIT_PIXEL, REDDIT_SECOND_PIXEL},
        REDDIT_ROTATED_TOKEN: {REDDIT_PIXEL, REDDIT_SECOND_PIXEL},
        REDDIT_FOREIGN_TOKEN: {"a2_othergame01"},
    },
}
