"""Idempotency-Key: a POST that is repeated with the same key is carried out once, and gets the same answer.

The answer is stored in the transaction of the operation, so that after a crash either both exist or neither. Two
requests with one key at the same moment: the second waits for the first. Only successful answers are stored; a refused
request changed nothing, and may be repeated. Operations that only read store nothing: they are carried out again.
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

from audience.api.toolkit.problems import Conflict, KeyReused
from audience.database import clock
from audience.database.encryption import decrypt, encrypt
from audience.models import ApiToken, IdempotentRequest
from audience.models.keys import sha256_hex
from audience.models.tokens import ANSWERS_KEPT

HEADER = "Idempotency-Key"
REPEATED_HEADER = "Idempotent-Replayed"
MAX_KEY_LENGTH = 255
KEPT_HEADERS = ("Location", "ETag")
# Of a larger answer, and of further ones of a token, only is stored that the request was carried out.
MAX_ANSWER_BYTES = 256 * 1024
MAX_ANSWERS = 10_000
NOT_KEPT = (
    "The request with this Idempotency-Key was carried out. Its answer was not kept: it was large, or the token sent "
    f"more than {MAX_ANSWERS:,} keys in a day. Read the resource instead."
)
Data = Callable[[Any], Any]


def key_of(request: Request) -> str:
    """Return the key of the request; '' without one. Raises ValidationError for one that is too long."""
    key: str = request.headers.get(HEADER, "").strip()
    if len(key) > MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        message = f"An Idempotency-Key has up to {MAX_KEY_LENGTH} printable ASCII characters, such as a UUID."
        raise serializers.ValidationError({HEADER: [message]})
    return key


def run(handler: Callable[[], Response], request: Request, key: str, *, stored: Data, repeated: Data) -> Response:
    """Return the stored answer to this key, else that of the handler, and store it.

    `stored` returns what to store of the data of an answer, and `repeated` the data of a repeated answer from that.
    Raises KeyReused, and Conflict for an answer that was not kept.
    """
    text = f"{request.method} {request.get_full_path()} ".encode() + request._request.body
    fingerprint = sha256_hex(text.decode("latin-1"))
    with transaction.atomic():
        row = _claim(request, key, fingerprint)
        if row.answer:
            if row.fingerprint != fingerprint:
                raise KeyReused
            return _repeated(row, repeated)
        response = handler()
        if response.status_code >= 400 or not hasattr(response, "data"):
            transaction.set_rollback(True)
            return response
        row.answer = _answer_of(response, stored, is_full=_has_many(row))
        row.save(update_fields=["answer"])
    return response


def _answer_of(response: Response, stored: Data, *, is_full: bool) -> str:
    """Return the column `answer`: {"status", "headers", "data"}, without "data" if it is not kept."""
    headers = {name: response[name] for name in KEPT_HEADERS if name in response}
    answer = {"status": response.status_code, "headers": headers}
    data = json.dumps(stored(response.data), cls=JSONEncoder)
    if len(data) <= MAX_ANSWER_BYTES and not is_full:
        answer["data"] = json.loads(data)
    return encrypt(answer)


def _has_many(row: IdempotentRequest) -> bool:
    """Whether the token has more than MAX_ANSWERS rows."""
    return IdempotentRequest.objects.filter(token=row.token_id)[MAX_ANSWERS : MAX_ANSWERS + 1].exists()


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


def _repeated(row: IdempotentRequest, repeated: Data) -> Response:
    try:
        answer = decrypt(row.answer)
    except ValidationError:  # a key of CREDENTIAL_KEYS was removed within a day
        raise KeyReused("The first answer to this Idempotency-Key can no longer be read.") from None
    if "data" not in answer:
        raise Conflict(NOT_KEPT, code="answer_not_kept")
    response = Response(repeated(answer["data"]), status=answer["status"], headers=answer["headers"])
    response[REPEATED_HEADER] = "true"
    return response
