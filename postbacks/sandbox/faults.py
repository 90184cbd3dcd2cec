"""Bad days of a network, on request: each fault answers the next requests instead of the network itself."""

from collections.abc import Callable

from postbacks.sandbox import reddit, tiktok
from postbacks.sandbox.call import Answer

HTML_502 = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
# These two never answer; the server holds or breaks the connection.
SILENT = ("timeout", "reset")

# Each takes the pixel that the request named. `unavailable` is HTTP 503 on both: TikTok sends its 50000 under
# HTTP 200 too, and the status alone must already be enough for the sender.
TIKTOK: dict[str, Callable[[str], Answer]] = {
    "unauthorized": lambda pixel: tiktok.reply(40105, "Access token is incorrect or has been revoked."),
    "forbidden": tiktok.forbid,
    "bad_request": lambda pixel: tiktok.reply(40002, "Invalid value for event_source_id: not a valid string."),
    "rate_limited": lambda pixel: tiktok.reply(40100, "Too many requests. Please retry in some time."),
    "unavailable": lambda pixel: tiktok.reply(50000, "System error", status=503),
    "html_502": lambda pixel: Answer(502, HTML_502),
}
INVALID_EVENT = {
    "field": "$.data.events[0].action_source",
    "message": "action_source: invalid action_source: website",
}
REDDIT: dict[str, Callable[[str], Answer]] = {
    "unauthorized": lambda pixel: reddit.error(401, "UNAUTHORIZED"),
    "forbidden": reddit.forbid,
    "bad_request": lambda pixel: reddit.error(
        400, "There were 1 invalid conversion events. None were processed.", fields=[INVALID_EVENT]
    ),
    "rate_limited": lambda pixel: reddit.error(429, "Too many requests/events within timeframe.", Retry_After="1"),
    "unavailable": lambda pixel: reddit.error(
        503, "The service is currently unavailable. No conversion events were processed."
    ),
    "html_502": lambda pixel: Answer(502, HTML_502),
}
ANSWERS = {"tiktok": TIKTOK, "reddit": REDDIT}
FAULTS = (*TIKTOK, *SILENT)
