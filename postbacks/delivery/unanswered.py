"""Whether an event is sent again after a call without an answer, which may have arrived."""

from dataclasses import replace

from postbacks.models import PostbackConfig
from postbacks.networks.interface.call import Outcome, Verdict

NOT_REPEATED = "The event may have arrived. It is not sent again because of a setting of the postback."


def is_repeated(config: PostbackConfig) -> bool:
    """Whether the postback, loaded with its credential, sends it again."""
    return config.kind.repeats_unanswered(config.credential)


def by_setting(config: PostbackConfig, outcome: Outcome) -> Outcome:
    """The outcome; a final one if it is unknown and the postback does not send the event again."""
    if not outcome.unknown or outcome.final or is_repeated(config):
        return outcome
    return replace(outcome, final=True, message=f"{outcome.message.rstrip('.')}. {NOT_REPEATED}")


def unread(config: PostbackConfig, problem: str) -> Outcome:
    """The outcome of a call whose answer is lost by the `problem`, which is a sentence without its full stop."""
    outcome = by_setting(config, Outcome(Verdict.TRANSIENT, None, problem, unknown=True))
    if outcome.final:
        return outcome
    return replace(outcome, message=f"{problem}. The event is sent again with the same event ID.")
