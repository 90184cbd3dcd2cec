"""The part of a network's interface about time: events that must wait, repeats, and results that come later."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from postbacks.networks.interface.call import Outcome, Request, Response, Target
from postbacks.networks.interface.facts import Facts


class LaterResults:
    """Defaults for a network that takes every event at once and whose answer is final."""

    # Whether a repeat replaces the data of the event, so that what was sent first is sent again (repeated_body).
    freezes_body: bool = False

    def not_before(self, facts: Facts) -> datetime | None:
        """The time before which the network refuses the event; None if it accepts it at once."""
        return None

    def confirm_request(self, target: Target, request_id: str) -> Request:
        """The request for the final result of an event with `confirm_after`; `request_id` is the Outcome's."""
        raise NotImplementedError

    def classify_confirmation(self, response: Response, *, repeated: bool = False) -> Outcome:
        """SUCCESS: the event counts. PAYLOAD: it does not, `message` has the reason; with `resend_after` it is sent
        again. Any other: no result yet. `repeated`: the network may have received the event before.
        """
        raise NotImplementedError

    def repeated_body(self, first: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body of a repeat if `freezes_body`: that of the first attempt, without what consent allows no more.

        `rebuilt` is the body as `build` makes it now.
        """
        return first

    @property
    def confirms_later(self) -> bool:
        """Whether it acknowledges events first and says later whether it counted them."""
        return type(self).classify_confirmation is not LaterResults.classify_confirmation
