"""Sending what is due: claim rows, call the network with no transaction open, close the attempts.

Each network is drained on its own, by one thread of a worker process at a time, so that one that hangs in time-outs
takes a single thread of the worker and delays nobody. That thread, and under load one beside it, touch the database, in
small batches; the calls run in lanes that only speak HTTP.
"""

import threading
import time
from collections.abc import Sequence
from uuid import UUID

import structlog
from django.conf import settings

from audience.database import clock
from postbacks import http
from postbacks.configs import rules
from postbacks.delivery import attempts, claims, pace, unwritten
from postbacks.delivery.attempts import Answer
from postbacks.delivery.claims import Claim
from postbacks.delivery.closing import Closing
from postbacks.delivery.lanes import Lanes
from postbacks.networks.interface.network import Outcome, Request, Response, Target, Verdict
from postbacks.outbox import facts

logger = structlog.get_logger(__name__)

TIMEOUT = 10.0  # seconds, for one call; claims.LEASE must stay longer
LANES = 160  # calls in flight at most, per network and worker process
SOON = 2.0  # seconds; what opens later is found by the beat
ENOUGH = 128  # answers that are written at once: a commit for each would be most of the work
MOST = 320  # deliveries claimed at once: while a claim lasts, no answer is gathered
# Seconds to wait for that many before those that came are written. The longer one is for when more are out: with fewer,
# as at a limited pixel, what is planned for the next 0.25 s (pace.AHEAD) would be over before more is claimed.
PATIENCE, LONG_PATIENCE = 0.05, 0.2

_turns = pace.Turns()
_desks: dict[str, "_Desk"] = {}
_desks_lock = threading.Lock()


class _Desk:
    """One per network and process: who is at it, and whether somebody asked for another round meanwhile."""

    def __init__(self) -> None:
        self.taken = threading.Lock()
        self.again = threading.Event()


def drain(*, network: str, seconds: float = 10.0, lanes: int = LANES) -> bool:
    """Send until nothing may be sent now or the time is up; whether something is left that may.

    Returns at once when another thread of this process is at it; that one goes on for us.
    With `lanes=0` everything runs in the calling thread.
    """
    with _desks_lock:
        desk = _desks.setdefault(network, _Desk())
    desk.again.set()
    if not desk.taken.acquire(blocking=False):
        return False
    try:
        until = time.monotonic() + seconds
        unwritten.retry(network=network)
        while desk.again.is_set() and time.monotonic() < until:
            desk.again.clear()
            _Round(network, lanes).run(until)
        chance = claims.next_chance(network)
        return chance is not None and chance <= SOON
    finally:
        desk.taken.release()


class _Round:
    """One stretch of draining: its lanes, and what must not be called any more by them."""

    def __init__(self, network: str, lanes: int) -> None:
        self._network, self._lanes = network, Lanes(self._call, lanes, f"deliver-{network}")
        # As many claims as came back last time wait for a lane, so that none stands idle while rows are written; no
        # more, since they would be ours for nothing while the network hangs.
        self._ahead = 0
        self._closing = Closing(_close)
        self._refused: set[UUID] = set()  # configs
        self._resting: set[str] = set()  # pixels

    def run(self, until: float) -> None:
        with self._lanes as lanes, self._closing:
            lanes.start(claims.claim_failed(network=self._network))
            while lanes.flying or time.monotonic() < until:
                if time.monotonic() < until:
                    self._claim()
                if lanes.flying:
                    self._land()
                elif not self._rested(until):
                    return

    def _claim(self) -> None:
        """Fill the lanes and what waits for them, in parts: the first are on their way while the next are claimed."""
        lanes, at_once = self._lanes, max(self._lanes.most, 1)
        taken, asked = 1, 1
        while taken == asked and (lanes.flying < at_once or at_once + self._ahead - lanes.flying >= ENOUGH):
            asked = min(at_once + self._ahead - lanes.flying, MOST)
            found = claims.claim(network=self._network, most=asked)
            self._resting.difference_update([claim.delivery.config.pixel_id for claim in found])
            lanes.start(found)
            taken = len(found)

    def _rested(self, until: float) -> bool:
        """Sleep until the limiter opens, if it does before the time is up."""
        seconds = claims.next_chance(self._network)
        if seconds is None or time.monotonic() + seconds > until:
            return False
        time.sleep(max(seconds, PATIENCE))
        return True

    def _land(self) -> None:
        """Close what has come back: beside us, while there is something else to do."""
        seconds = LONG_PATIENCE if self._lanes.flying > ENOUGH else PATIENCE
        results = self._lanes.gather(enough=ENOUGH, seconds=seconds)
        answers = [result for result in results if isinstance(result, Answer)]
        unsent = [result for result in results if isinstance(result, Claim)]
        # What some were not sent for has to be written down before they are claimed again.
        if unsent or not self._lanes.flying:
            self._resting.update(self._closing.finish(answers))
        elif answers:
            self._resting.update(self._closing.start(answers))
        if unsent:
            attempts.take_back(unsent)
        self._ahead = min(len(answers), 2 * self._lanes.most)
        if not self._lanes.flying:
            self._refused.clear()

    def _call(self, claim: Claim) -> Answer | Claim:
        """One that crashes takes its neighbours' answers with it no more than a lost connection."""
        try:
            return _in_turn(claim, self._refused, self._resting)
        except Exception as error:
            name = type(error).__name__
            logger.exception("delivery_crashed", delivery_id=str(claim.delivery.pk), error=name)
            problem = f"Afterclick failed while sending this ({name}): it is sent again with the same event id."
            return Answer(claim, Outcome(Verdict.TRANSIENT, None, problem, unknown=True))


def _in_turn(claim: Claim, refused: set[UUID], resting: set[str]) -> Answer | Claim:
    """The call, at its moment; the claim itself when it must not be made any more."""
    config = claim.delivery.config
    _turns.wait(config.network, config.pixel_id, (claim.starts_at - clock.now()).total_seconds())
    if config.pk in refused or config.pixel_id in resting or clock.now() > attempts.latest_start(claim):
        return claim
    return _call(claim, refused)


def _call(claim: Claim, refused: set[UUID]) -> Answer:
    """One call to the network, with no transaction open."""
    config = claim.delivery.config
    network = config.kind
    if not claim.token:
        logger.error("credential_unreadable", config_id=str(config.pk))
        return Answer(claim, Outcome(Verdict.CREDENTIAL, None, rules.UNREADABLE))
    try:
        request = _request(claim)
    except facts.BAD_DATA as error:
        logger.exception("delivery_unbuildable", delivery_id=str(claim.delivery.pk))
        problem = f"This event cannot be turned into a {network.label} event ({type(error).__name__})."
        return Answer(claim, Outcome(Verdict.PAYLOAD, None, f"{problem} Nothing was sent."))
    response = http.post(request, timeout=TIMEOUT)
    outcome = _judged(claim, response)
    if outcome.verdict == Verdict.CREDENTIAL:
        refused.add(config.pk)  # before the answer is written: the lanes must not repeat the question
    return Answer(claim, outcome, request, response)


def _judged(claim: Claim, response: Response) -> Outcome:
    """The network's own reading of its answer; an answer that cannot be read says nothing of what it did."""
    try:
        return claim.delivery.config.kind.classify(response)
    except Exception as error:  # an answer that nobody foresaw must not take the record of the call with it
        logger.exception("answer_unreadable", delivery_id=str(claim.delivery.pk))
        problem = (
            f"The answer could not be read ({type(error).__name__}): the event is sent again with the same event id."
        )
        return Outcome(Verdict.TRANSIENT, None, problem, unknown=True)


def _request(claim: Claim) -> Request:
    delivery, config = claim.delivery, claim.delivery.config
    if delivery.conversion is None:
        raise ValueError("a claimed delivery has a conversion")
    base_url = settings.NETWORK_URLS[config.network]
    target = Target(pixel_id=config.pixel_id, credential=claim.token, base_url=base_url)
    known = claim.facts or facts.of(
        delivery.conversion, event_id=delivery.event_id, level=claim.level, sent_as=delivery.sent_as
    )
    return config.kind.build(target, known)


def _close(answers: Sequence[Answer]) -> set[str]:
    for answer in answers:
        delivery, response = answer.claim.delivery, answer.response
        logger.info(
            "delivery_attempted",
            delivery_id=str(delivery.pk),
            config_id=str(delivery.config_id),
            network=delivery.network,
            attempt=answer.claim.number,
            verdict=answer.outcome.verdict.value,
            code=answer.outcome.code,
            http_status=response.status if response else None,
            latency_ms=response.latency_ms if response else None,
        )
    return attempts.close(answers)
