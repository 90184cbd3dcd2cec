"""Whether an event is sent again after a call without an answer, which may have arrived."""

import re
from dataclasses import replace

from postbacks.models import PostbackConfig
from postbacks.networks.interface.call import Outcome

# The end of messages of postbacks/delivery/sending.py.
REPEATED = re.compile(r": (it|the event) is sent again with the same event id\.$")
NOT_REPEATED = "The event may have arrived, and is not sent again: that is a setting of the postback."


def is_repeated(config: PostbackConfig) -> bool:
    """Whether the postback, loaded with its credential, sends it again."""
    return config.kind.repeats_unanswered(config.credential)


def by_setting(config: PostbackConfig, outcome: Outcome) -> Outcome:
    """The outcome; a final one if it is unknown and the postback does not send the event again."""
    if not outcome.unknown or is_repeated(config):
        return outcome
    message = REPEATED.sub("", outcome.message).rstrip(".")
    return replace(outcome, final=True, message=f"{message}. {NOT_REPEATED}")
