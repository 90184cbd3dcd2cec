"""The MetaRouter dialect as OpenAPI: the short words, webhooks and pixels, and its JSON answers."""

from base64 import b64encode

import orjson

from audience.intake.dialects import openapi as api
from audience.intake.dialects import segment_messages as messages
from audience.intake.dialects.metarouter import ANSWERS as WORDS
from audience.intake.dialects.words import Problem

TAG = "MetaRouter"
SAY = {"type": "string"}
SAID = {"Error": SAY, "Message": SAY, "Details": SAY}
CODE = {"code": {"type": "string"}, "message": {"type": "string"}}
SCHEMAS = {
    "MetaRouterSuccess": api.thing("Success", Success={"const": True}),
    "MetaRouterError": api.said(
        "`code` and `message` repeat the answer for SDKs of the family that look for them.",
        api.thing("Error", "Message", "Details", "code", "message", **SAID, **CODE),
    ),
    "MetaRouterBatchError": api.thing(
        "Success",
        "Errors",
        "code",
        "message",
        Success={"const": False},
        Errors={
            "type": "array",
            "minItems": 1,
            "items": api.thing(
                "Error",
                "Message",
                "Details",
                **SAID,
                **CODE,
                index={"type": "integer", "minimum": 0, "description": "The member's place in the batch."},
                messageId={"type": ["string", "null"]},
            ),
        },
        **CODE,
    ),
}
SUCCESS = api.answer("On disk.", api.content(api.JSON, api.ref("MetaRouterSuccess"), {"Accepted": {"Success": True}}))


def _single(problem: Problem) -> api.Schema:
    status, error, message, details = WORDS[problem]
    return {"Error": error, "Message": message, "Details": details, "code": str(status), "message": message}


def _batch(problem: Problem) -> api.Schema:
    status, error, message, details = WORDS[problem]
    listed = [{"Error": error, "Message": message, "Details": details}]
    return {"Success": False, "Errors": listed, "code": str(status), "message": message}


def _errors(description: str, problems: list[Problem], *headers: str, batch: bool) -> api.Schema:
    form = api.ref("MetaRouterBatchError" if batch else "MetaRouterError")
    shape = _batch if batch else _single
    shown = {f"{WORDS[problem][2]} {WORDS[problem][3]}".strip(): shape(problem) for problem in problems}
    return api.answer(description, api.content(api.JSON, form, shown), *headers)


BAD = [Problem.NO_KEY, Problem.BAD_ENCODING, Problem.BAD_JSON, Problem.NOT_AN_EVENT]
FIRST = {"Error": "Bad Request", "Message": "groupId is required for group", "Details": "groupId"}
PARTIAL = {
    "Success": False,
    "Errors": [{**FIRST, "code": "400", "message": FIRST["Message"], "index": 1, "messageId": "317b11a8"}],
    "code": "207",
    "message": FIRST["Message"],
}


def _answers(*, batch: bool) -> api.Answers:
    def of(problem: Problem, description: str, *headers: str) -> dict[int, api.Schema]:
        return {WORDS[problem][0]: _errors(description, [problem], *headers, batch=batch)}

    bad = [*BAD, Problem.EMPTY_BATCH] if batch else BAD
    partial = api.content(api.JSON, api.ref("MetaRouterBatchError"), {"One of two members": PARTIAL})
    return {
        200: SUCCESS,
        **({207: api.answer("Some members are on disk; the others are listed.", partial)} if batch else {}),
        400: _errors("Nothing was stored; sending the same again will not help.", bad, batch=batch),
        **of(Problem.METHOD, "Another method.", "Allow"),
        **of(Problem.TOO_LARGE, "Over 15 KB, or a batch over 500 KB."),
        **of(Problem.TOO_MANY_REQUESTS, "The key calls more often than its limit allows.", *api.LATER),
        **of(Problem.BROKEN, "Our fault; send it again."),
        **of(Problem.STORAGE_AWAY, "A passing fault; send it again.", *api.AGAIN),
    }


ONE = _answers(batch=False)
MANY = _answers(batch=True)
GIF: api.Schema = {"image/gif": {"schema": {"type": "string", "format": "binary"}}}
IMAGE = api.answer("On disk: a transparent image of one pixel.", GIF, "Cache-Control")
# What a webhook is refused with depends on whether its body could be told to be one event.
HOOK = {
    status: answer
    if status in {200, 207}
    else {
        **answer,
        "content": api.content(api.JSON, {"anyOf": [api.ref("MetaRouterError"), api.ref("MetaRouterBatchError")]}),
    }
    for status, answer in MANY.items()
}
RESPONSES = {
    **api.shared("MetaRouter", ONE),
    **api.shared("MetaRouterBatch", MANY),
    **api.shared("MetaRouterWebhook", HOOK),
}

SHORT = {"i": "identify", "t": "track", "p": "page", "s": "screen", "g": "group", "a": "alias"}
NOTE = "Answered in MetaRouter's JSON, whatever the key's dialect."
PIXELS = ("track", "page", "alias", "identify", "group")
PIXEL_NOTE = (
    "The event as JSON in base64, standard or url-safe, with or without padding. The key is the `writeKey` in it."
)


def _pixel(kind: str) -> api.Schema:
    sample = orjson.dumps({**messages.SHORT_SAMPLES[kind], "writeKey": "pk_imapik-…"})
    data = {"type": "string", "examples": [b64encode(sample).decode()]}
    return api.operation(
        f"pixel{kind.title()}",
        TAG,
        f"{kind} as an image",
        description="What is wrong with it is answered in JSON, whatever the key's dialect.",
        keys=messages.KEYS,
        keyless=True,
        parameters=[api.query("data", PIXEL_NOTE, required=True, schema=data)],
        answers={**api.pointing("MetaRouter", ONE), 200: IMAGE},
    )


def _hook(name: str) -> api.Schema:
    anything = {"type": "object", "additionalProperties": True}
    shown = {"An event": messages.SHORT_SAMPLES["track"], "Anything else": {"invoice": 7, "paid": True}}
    return api.operation(
        name,
        TAG,
        "Take in another system's webhook",
        description="One event, a batch, or any other JSON object, which is kept as a track event named `webhook`. "
        "The key of the query goes before one in the body.",
        keys=messages.KEYS,
        keyless=True,
        body=api.content(api.JSON, anything, shown),
        answers=api.pointing("MetaRouterWebhook", HOOK),
    )


def _batch_route(name: str, description: str) -> api.Schema:
    return api.operation(
        name,
        TAG,
        "Send several messages",
        description=description,
        keys=messages.KEYS,
        keyless=True,
        body=messages.batch_body(messages.SHORT_BATCH),
        answers=api.pointing("MetaRouterBatch", MANY),
    )


OPERATIONS: api.Operations = {
    **{
        ("POST", f"/v1/{short}"): api.operation(
            f"{kind}Short",
            TAG,
            f"{kind} in one letter",
            description=NOTE,
            keys=messages.KEYS,
            keyless=True,
            body=messages.body(kind, {kind: messages.SHORT_SAMPLES[kind]}),
            answers=api.pointing("MetaRouter", ONE),
        )
        for short, kind in SHORT.items()
    },
    ("POST", "/v1/b"): _batch_route("batchShort", "207 lists the bad members. " + NOTE),
    ("POST", "/v1/import"): _batch_route("import", "As /v1/b; a time may lie far in the past. " + NOTE),
    ("POST", "/v1/webhook"): _hook("webhook"),
    ("POST", "/v1/w"): _hook("webhookShort"),
    **{("GET", f"/v1/pixel/{kind}"): _pixel(kind) for kind in PIXELS},
}
