"""The part of a network's interface about checks of a credential, and the sentence about their result."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime

from postbacks.networks.interface.call import Outcome, Request, Response, Target, Verdict

# (target, event_id=, now=) -> the request of a check.
CheckBuilder = Callable[..., Request]


class Checks(ABC):
    """Defaults for a network whose pixels are in an Events Manager, and that answers a check like an event."""

    label: str
    pixel_label: str
    test_code_label: str  # '' for a network without test codes
    test_code_help: str
    has_test_endpoint: bool = False  # it takes test events without a code, which are counted nowhere
    # What a check and a test conversion send, where that is not an event that the test code keeps out of all counts.
    check_note: str = ""
    test_note: str = ""
    daily_check: bool = True  # False if each check leaves an event that the network's pages show

    @property
    @abstractmethod
    def credential_label(self) -> str:
        """The name of the credential on the pages."""

    @property
    def has_test_events(self) -> bool:
        """Whether a test conversion can be sent that is counted nowhere."""
        return bool(self.test_code_label) or self.has_test_endpoint

    @abstractmethod
    def check(self, target: Target, *, event_id: str, now: datetime, trigger: str = "game_launch") -> Request:
        """A synthetic event: the built-in `trigger`'s when there is a test code, else a harmless page view."""

    def second_check(self, outcome: Outcome) -> CheckBuilder | None:
        """The next request of a check without a test code whose answer proves too little; None if it proves enough."""
        return None

    @abstractmethod
    def classify(self, response: Response) -> Outcome:
        """What the answer means: permanent or transient. Only this function decides it."""

    def classify_answer(self, response: Response, target: Target) -> Outcome:
        """`classify`, by the settings of a postback where users describe the answers."""
        return self.classify(response)

    def classify_check(self, response: Response, target: Target) -> Outcome:
        """What the answer to `check` or `second_check` means."""
        return self.classify_answer(response, target)

    def passed(self, outcome: Outcome) -> bool:
        """Whether a save-time check proves that the credential works on the pixel."""
        return outcome.verdict is Verdict.SUCCESS

    def explain(self, outcome: Outcome, target_pixel: str, *, undecided: str) -> str:
        """One sentence for a marketer: what happened, with the network's own message, and what to do.

        `undecided` ends the sentence if the answer proves nothing: the consequence depends on the purpose of the check.
        """
        reason, token = outcome.message.rstrip(" ."), self.credential_label.lower()
        pixel = f"{self.pixel_label[0].lower()}{self.pixel_label[1:]} {target_pixel}"
        if self.passed(outcome):
            return f"{self.label} accepted the test event for {pixel}."
        if outcome.access == "token":
            return (
                f"{self.label} does not accept this {token} (“{reason}”). Copy the complete {token} again or "
                "generate a new one."
            )
        if outcome.access == "pixel":
            return (
                f"This {token} has no access to {pixel} (“{reason}”). "
                "Check that the two belong together, or ask an admin of this pixel to generate the token."
            )
        if outcome.verdict is Verdict.PAYLOAD:
            code = f", and check the {self.test_code_label} if you entered one" if self.test_code_label else ""
            return f"{self.label} did not accept {pixel} (“{reason}”). Copy it again from Events Manager{code}."
        return f"{self.label} could not verify the credential now (“{reason}”): {undecided}"
