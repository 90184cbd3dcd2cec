"""Sending what is due: claim rows, call the network with no transaction open, close the attempts.

Each network is drained on its own, by one thread of a worker process at a time, so that one that hangs in time-outs
takes a single thread of the worker and delays nobody. That thread alone touches the database, in small batches; the
calls run in lanes that only speak HTTP.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings

from audience import clock
from postbacks import http
from postbacks.deciding import facts
from postbacks.networks.base import Outcome, Request, Target, Verdict
from postbacks.sending import attempts, claims, pace
from postbacks.sending.attempts import Answer
from postbacks.sending.claims import Claim
from postbacks.setup import rules

logger = structlog.get_logger(__name__)

TIMEOUT = 10.0  # seconds, for one call; claims.LEASE must stay longer
LANES = 160  # calls in flight at most, per network and worker process
SOON = 2.0  # seconds; what opens later is found by the beat
PATIENCE = 0.03  # seconds to wait for further answers before those that came are written

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
        while desk.again.is_set() and time.monotonic() < until:
            desk.again.clear()
            _drain(network, until, lanes)
        chance = claims.next_chance(network)
        return chance is not None and chance <= SOON
    finally:
        desk.taken.release()


def _drain(network: str, until: float, lanes: int) -> None:
    if not lanes:
        _Round(network, _Here(), 1).run(until)
        return
    with ThreadPoolExecutor(lanes, thread_name_prefix=f"deliver-{network}") as pool:
        _Round(network, pool, lanes).run(until)


class _Here(Executor):
    """No lanes: what is submitted runs in the calling thread."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*args, **kwargs))
        except Exception as error:  # as a pool would
            done.set_exception(error)
        return done


class _Round:
    """One stretch of draining: what is in flight, and which configs were refused meanwhile."""

    def __init__(self, network: str, pool: Executor, lanes: int) -> None:
        self._network, self._pool, self._lanes = network, pool, lanes
        self._flying: dict[Future[Answer | Claim], Claim] = {}
        self._refused: set[UUID] = set()

    def run(self, until: float) -> None:
        while self._flying or time.monotonic() < until:
            free = self._lanes - len(self._flying)
            taken = claims.claim(network=self._network, most=free) if free and time.monotonic() < until else []
            for claim in taken:
                self._flying[self._pool.submit(_in_turn, claim, self._refused)] = claim
            if self._flying:
                self._land()
            elif not self._rested(until):
                return

    def _rested(self, until: float) -> bool:
        """Sleep until the limiter opens, if it does before the time is up."""
        seconds = claims.next_chance(self._network)
        if seconds is None or time.monotonic() + seconds > until:
            return False
        time.sleep(max(seconds, PATIENCE))
        return True

    def _land(self) -> None:
        """Close what has come back. In batches: a commit for each would be most of the work."""
        done, _ = wait(self._flying, timeout=PATIENCE)
        results = [_result(future, self._flying.pop(future)) for future in done]
        answers = [result for result in results if isinstance(result, Answer)]
        unsent = [result for result in results if isinstance(result, Claim)]
        if answers:
            attempts.close(_logged(answers))
        if unsent:
            attempts.take_back(unsent)
        if not self._flying:
            self._refused.clear()


def _result(future: Future[Answer | Claim], claim: Claim) -> Answer | Claim:
    """What a lane brought. One that crashed takes its neighbours' answers with it no more than a lost connection."""
    error = future.exception()
    if error is None:
        return future.result()
    logger.error("delivery_crashed", delivery_id=str(claim.delivery.pk), error=type(error).__name__, exc_info=error)
    problem = f"Afterclick failed while sending this ({type(error).__name__}): it is sent again with the same event id."
    return Answer(claim, Outcome(Verdict.TRANSIENT, None, problem))


def _in_turn(claim: Claim, refused: set[UUID]) -> Answer | Claim:
    """The call, at its moment; the claim itself when it must not be made any more."""
    config = claim.delivery.config
    _turns.wait(config.network, config.pixel_id, (claim.starts_at - clock.now()).total_seconds())
    if config.pk in refused or clock.now() > attempts.latest_start(claim):
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
    outcome = network.classify(response)
    if outcome.verdict == Verdict.CREDENTIAL:
        refused.add(config.pk)  # before the answer is written: the lanes must not repeat the question
    return Answer(claim, outcome, request, response)


def _request(claim: Claim) -> Request:
    delivery, config = claim.delivery, claim.delivery.config
    if delivery.conversion is None:
        raise ValueError("a claimed delivery has a conversion")
    base_url = settings.NETWORK_URLS[config.kind.url_setting]
    target = Target(pixel_id=config.pixel_id, credential=claim.token, base_url=base_url)
    known = facts.of(delivery.conversion, event_id=delivery.event_id, level=claim.level, sent_as=delivery.sent_as)
    return config.kind.build(target, known)


def _logged(answers: Sequence[Answer]) -> Sequence[Answer]:
    for answer in answers:
        delivery, response = answer.claim.delivery, answer.response
        logger.info(
            "delivery_attempted",
            delivery_id=str(delivery.pk),
            config_id=str(delivery.config_id),
            network=delivery.network,
            attempt=answer.claim.attempt.number,
            verdict=answer.outcome.verdict.value,
            code=answer.outcome.code,
            http_status=response.status if response else None,
            latency_ms=response.latency_ms if response else None,
        )
    return answers
