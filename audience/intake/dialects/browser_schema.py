"""What the two browser SDKs call beside the messages, as OpenAPI: bootstrap, beacon and pixels."""

from audience.intake.dialects import metarouter_schema, rudderstack_schema, segment_schema
from audience.intake.dialects import openapi as api
from audience.intake.dialects import segment_messages as messages

TAG = "Browser SDKs"
TEXT = {"type": "string"}
MAP = {"type": "object"}
NO = api.thing("enabled", enabled={"const": False})
SCHEMAS = {
    "SourceConfig": api.thing(
        "source",
        "updatedAt",
        updatedAt={"type": "string", "format": "date-time"},
        source=api.thing(
            *("id", "name", "writeKey", "enabled", "workspaceId", "updatedAt", "config", "dataplanes", "destinations"),
            id=TEXT,
            name=TEXT,
            writeKey=TEXT,
            enabled={"const": True},
            workspaceId=TEXT,
            updatedAt={"type": "string", "format": "date-time"},
            config=api.thing("statsCollection", statsCollection=api.thing("errors", "metrics", errors=NO, metrics=NO)),
            dataplanes=MAP,
            destinations={"type": "array", "items": MAP},
        ),
    ),
    "ProjectSettings": api.thing(
        "integrations",
        "plan",
        plan=MAP,
        integrations={
            "type": "object",
            "required": ["Segment.io"],
            "properties": {
                "Segment.io": api.thing(
                    *("apiKey", "apiHost", "protocol"),
                    apiKey=TEXT,
                    apiHost=api.said("Our host and /v1.", TEXT),
                    protocol=api.one_of_texts(["http", "https"]),
                )
            },
        },
    ),
    "BootstrapError": api.thing("message", message=TEXT),
}


def _unready(text: str, description: str) -> api.Schema:
    return api.answer(description, api.content(api.JSON, api.ref("BootstrapError"), {text: {"message": text}}))


# An image is answered whatever was wrong, since nobody reads its status; but for these.
PIXEL_ANSWERS = {200: {**metarouter_schema.IMAGE, "description": "An image, also when the event was refused."}}
PIXEL_ANSWERS |= rudderstack_schema.PASSING
UNKNOWN = _unready("Invalid write key", "The key is unknown or revoked.")
RESPONSES = {**api.shared("Passing", rudderstack_schema.PASSING), **api.shared("Pixel", PIXEL_ANSWERS)}
PASSING = api.pointing("Passing", rudderstack_schema.PASSING)
IN_QUERY = ("writeKeyInQuery",)


def _pixel(kind: str) -> api.Schema:
    own = [api.query("event", "The event's name.")] if kind == "track" else [api.query("name", "The page's name.")]
    return api.operation(
        f"queryPixel{kind.title()}",
        TAG,
        f"{kind} as an image",
        description="Parameters that are not named here are properties of the event.",
        keys=IN_QUERY,
        parameters=[
            *own,
            api.query("userId", "This or anonymousId."),
            api.query("anonymousId", "This or userId."),
            api.query("messageId", "What a repeated message is told by."),
            api.query("timestamp", "As in the body of a track event."),
            api.query("properties", "A JSON object."),
        ],
        answers=api.pointing("Pixel", PIXEL_ANSWERS),
    )


def _beacon() -> api.Schema:
    as_text = {"type": "string", "contentMediaType": api.JSON, "description": "The batch as JSON text."}
    return api.operation(
        "beacon",
        TAG,
        "Send what a closing page leaves behind",
        description="A batch as text/plain, since a beacon may not ask for leave first. " + segment_schema.NOTE,
        keys=("writeKeyInQuery", "writeKey"),
        keyless=True,
        body={
            **api.content(
                api.TEXT, as_text, {"A batch": '{"batch": [{"type": "page", "anonymousId": "anon-id-new"}]}'}
            ),
            **messages.batch_body(messages.BATCH),
        },
        answers=api.pointing("SegmentBatch", segment_schema.MANY),
    )


OPERATIONS: api.Operations = {
    ("POST", "/beacon/v1/batch"): _beacon(),
    ("GET", "/pixel/v1/track"): _pixel("track"),
    ("GET", "/pixel/v1/page"): _pixel("page"),
    ("GET", "/sourceConfig"): api.operation(
        "sourceConfig",
        TAG,
        "What a RudderStack SDK may do with its key",
        keys=("writeKey", *IN_QUERY),
        answers={
            200: api.answer("The key's source, with no destinations.", api.content(api.JSON, api.ref("SourceConfig"))),
            400: UNKNOWN,
            401: _unready("Writekey not found in basic auth", "No key."),
            **PASSING,
        },
    ),
    ("HEAD", "/sourceConfig"): api.operation(
        "probeSourceConfig",
        TAG,
        "The SDK's probe for ad blockers",
        keyless=True,
        parameters=[api.query("view", "The SDK writes `ad`.")],
        answers={204: api.answer("Nothing stands between."), 500: PASSING[500]},
    ),
    ("POST", "/rsaMetrics"): api.operation(
        "metrics",
        TAG,
        "What the SDK says of itself, which is not kept",
        keyless=True,
        body=api.content(api.JSON, {}),
        answers={200: api.answer("Thanks.", api.content(api.JSON, api.thing())), **PASSING},
    ),
    ("GET", "/v1/projects/{key}/settings"): api.operation(
        "projectSettings",
        TAG,
        "Where Segment's browser SDK sends to",
        keyless=True,
        parameters=[
            {"name": "key", "in": "path", "required": True, "description": "The write key.", "schema": TEXT},
        ],
        answers={
            200: api.answer("This host.", api.content(api.JSON, api.ref("ProjectSettings"))),
            400: UNKNOWN,
            **PASSING,
        },
    ),
}
