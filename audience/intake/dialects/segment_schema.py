"""The routes that RudderStack, Segment and MetaRouter share, as OpenAPI; the key's dialect words the answer."""

from audience.intake.dialects import metarouter_schema, rudderstack_schema
from audience.intake.dialects import openapi as api
from audience.intake.dialects import segment_messages as messages
from audience.intake.dialects.rudderstack_schema import TAG

NOTE = "A key of the MetaRouter dialect is answered in JSON, any other in text."
BATCH_NOTE = (
    "Good members are stored and bad ones listed in the Hub; only when every member is bad the answer is 400. "
    "Whole at most 4 MB unpacked, a member 32 KB. "
)
SUMMARIES = {
    "identify": "Say who a player is",
    "track": "Say what a player did",
    "page": "Say which page a player sees",
    "screen": "Say which screen a player sees",
    "group": "Say which group a player is in",
    "alias": "Join a player's earlier id",
    "merge": "Join a player's other identities",
}
ONE = api.merged(rudderstack_schema.ANSWERS, metarouter_schema.ONE)
MANY = api.merged(rudderstack_schema.ANSWERS, metarouter_schema.MANY)
SCHEMAS = messages.SCHEMAS
RESPONSES = {**api.shared("Segment", ONE), **api.shared("SegmentBatch", MANY)}
SENT_AT = api.header("SentAt", "When the request was sent, for messages that do not say it.")

OPERATIONS: api.Operations = {
    **{
        ("POST", f"/v1/{kind}"): api.operation(
            kind,
            TAG,
            summary,
            description=NOTE,
            keys=messages.KEYS,
            keyless=True,
            parameters=[SENT_AT],
            body=messages.body(kind, {kind: messages.SAMPLES[kind]}),
            answers=api.pointing("Segment", ONE),
        )
        for kind, summary in SUMMARIES.items()
    },
    ("POST", "/v1/batch"): api.operation(
        "batch",
        TAG,
        "Send several messages",
        description=BATCH_NOTE + NOTE,
        keys=messages.KEYS,
        keyless=True,
        parameters=[SENT_AT],
        body=messages.batch_body(messages.BATCH),
        answers=api.pointing("SegmentBatch", MANY),
    ),
}
