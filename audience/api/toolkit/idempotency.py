"""Idempotency-Key: a POST that is repeated with the same key is carried out once, and gets the same answer.

The answer is stored in the transaction of the operation, so that after a crash either both exist or neither. Two
requests with one key at the same moment: the second waits for the first. Only successful answers are stored; a refused
request changed nothing, and may be repeated.
"""

import json
from collections.abc import Callable
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.db import transaction
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from audience.api.toolkit.problems import KeyReused
from audience.database import clock
from audience.database.encryption import decrypt, encrypt
from audience.models import ApiToken, IdempotentRequest
from audience.models.keys import sha256_hex
from audience.models.tokens import ANSWERS_KEPT

HEADER = "Idempotency-Key"
REPEATED_HEADER = "Idempotent-Replayed"
MAX_KEY_LENGTH = 255
KEPT_HEADERS = ("Location", "ETag")


def key_of(request: Request) -> str:
    """Return the key of the request; '' without one. Raises ValidationError for one that is too long."""
    key: str = request.headers.get(HEADER, "").strip()
    if len(key) > MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        message = f"An Idempotency-Key has up to {MAX_KEY_LENGTH} printable ASCII characters, such as a UUID."
        raise serializers.ValidationError({HEADER: [message]})
    return key


def run(handler: Callable[..., Response], request: Request, key: str, *args: Any, **kwargs: Any) -> Response:
    """Return the stored answer to this key, else that of the handler, and store it. Raises KeyReused."""
    text = f"{request.method} {request.get_full_path()} ".encode() + request._request.body
    fingerprint = sha256_hex(text.decode("latin-1"))
    with transaction.atomic():
        row = _claim(request, key, fingerprint)
        if row.answer:
            if row.fingerprint != fingerprint:
                raise KeyReused
            return _stored(row)
        response = handler(request, *args, **kwargs)
        if response.status_code >= 400 or not hasattr(response, "data"):
            transaction.set_rollback(True)
            return response
        headers = {name: response[name] for name in KEPT_HEADERS if name in response}
        row.answer = encrypt({"status": response.status_code, "headers": headers, "data": _plain(response.data)})
        row.save(update_fields=["answer"])
    return response


def _claim(request: Request, key: str, fingerprint: str) -> IdempotentRequest:
    """Return the locked row of the key: a new one without an answer, or that of an earlier request."""
    token = cast(ApiToken, request.auth)
    rows = IdempotentRequest.objects.filter(token=token, key=key)
    rows.filter(created_at__lt=clock.now() - ANSWERS_KEPT).delete()
    # Waits for a request with this key that is in progress.
    new = IdempotentRequest(token=token, key=key, fingerprint=fingerprint)
    IdempotentRequest.objects.bulk_create([new], ignore_conflicts=True)
    row: IdempotentRequest = rows.select_for_update().get()
    return row


def _stored(row: IdempotentRequest) -> Response:
    try:
        answer = decrypt(row.answer)
    except ValidationError:  # a key of CREDENTIAL_KEYS was removed within a day
        raise KeyReused("The first answer to this Idempotency-Key can no longer be read.") from None
    response = Response(answer["data"], status=answer["status"], headers=answer["headers"])
    response[REPEATED_HEADER] = "true"
    return response


def _plain(data: Any) -> Any:
    """Return the data as JSON values."""
    return json.loads(json.dumps(data, cls=JSONEncoder))
