"""Sends due deliveries: claims them, calls the network with no transaction open, records the answers.

Each network has drains of its own. In a worker process one drain of a network claims at a time, while at most one
earlier drain waits for its last calls and records them: a network whose calls time out occupies at most two threads of
the worker and delays no other network. Only the thread of the drain uses the database; the threads of its pool make the
HTTP calls.
"""

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import Self
from uuid import UUID

import structlog

from audience.background.wakeup import wake
from audience.database import clock
from audience.wording.articles import with_article
from postbacks import http
from postbacks.configs import rules
from postbacks.delivery import attempts, cancellation, claims, drain_limits, leases, pace, unanswered, unstored_answers
from postbacks.delivery.leases import Claim
from postbacks.delivery.recording import CallResult
from postbacks.http import TIMEOUT_SECONDS
from postbacks.networks.interface.call import Outcome, Request, Response, Target, Verdict
from postbacks.networks.interface.values import json_body
from postbacks.outbox import conversion_facts
from postbacks.outbox.fan_out import DELIVER_TASK

logger = structlog.get_logger(__name__)

MAX_IN_FLIGHT = 320  # concurrent calls of a drain; the next drain may start as many while the last ones end
CLAIM_BATCH = 160  # less than MAX_IN_FLIGHT, so that some are being sent while others are claimed or recorded
# Answers that arrive within this time are recorded together: a transaction for each would be most of the work. Shorter
# than pace.AHEAD, so that a rate-limited pixel has planned calls while the next are claimed.
COLLECT_SECONDS = 0.1
MAX_WAIT_SECONDS = 2.0  # for the rate limiter; after longer waits the beat starts the next drain

_call_spacing = pace.CallSpacing()


def drain(*, network: str, seconds: float = 10.0, max_in_flight: int = MAX_IN_FLIGHT) -> bool:
    """Send until nothing may be sent or `seconds` are over. Enqueue the next drain if more may be sent within
    MAX_WAIT_SECONDS, and return whether that is so.

    Returns False at once if another thread of this process claims deliveries of the network, or if two of its drains
    still wait for calls: then the beat enqueues the next one.
    """
    with drain_limits.running(network) as may_run:
        return may_run and _drain(network, seconds, max_in_flight)


def _drain(network: str, seconds: float, max_in_flight: int) -> bool:
    with NetworkDrain(network, max_in_flight) as network_drain:
        with drain_limits.claiming(network) as may_claim:
            if not may_claim:
                return False
            until = time.monotonic() + seconds
            unstored_answers.retry_due(network=network)
            network_drain.run(until)
        # After the claiming block: until its end other threads return at once, whatever became due. The next drain may
        # claim while this one waits for its last calls and records them.
        wait_seconds = claims.seconds_until_claimable(network)
        if has_more := wait_seconds is not None and wait_seconds <= MAX_WAIT_SECONDS:
            wake(DELIVER_TASK, network)
    return has_more


class NetworkDrain:
    """Sends the due deliveries of one network with up to `max_in_flight` concurrent calls. Not thread-safe.

    The end of the `with` block waits for the started calls and records them; after an error no other call is started.
    """

    def __init__(self, network: str, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        self._network, self._max_in_flight = network, max_in_flight
        self._pool = ThreadPoolExecutor(max_in_flight, thread_name_prefix=f"deliver-{network}")
        self.in_flight: dict[Future[CallResult | None], Claim] = {}
        # Claimed calls are not made if the network has just refused the config's credential, or if the pixel is paused.
        # Once a refusal is recorded it stops only the attempts that were in flight at that time.
        self._refused_configs: set[UUID] = set()
        self._stopped_attempts: set[int] = set()
        self._paused_pixels: set[str] = set()
        self._has_failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._has_failed = error is not None
        try:
            while self.in_flight:
                self.collect()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def run(self, until: float) -> None:
        """Claim, send and record until nothing may be sent within MAX_WAIT_SECONDS, or until `until` (monotonic)."""
        self.submit(claims.claim_failed(network=self._network))
        while time.monotonic() < until:
            limit = min(self._max_in_flight - len(self.in_flight), CLAIM_BATCH)
            claimed = self.submit(claims.claim(network=self._network, limit=limit)) if limit else 0
            if self.in_flight:
                self.collect(0.0 if claimed == CLAIM_BATCH else COLLECT_SECONDS)
            elif not self._wait_for_limiter(until):
                return

    def submit(self, claimed: Iterable[Claim]) -> int:
        """Submit each claim to the pool as soon as it is made; return their number."""
        count = 0
        for claim in claimed:
            count += 1
            self._paused_pixels.discard(claim.delivery.config.flow_pixel)
            self.in_flight[self._pool.submit(self._send, claim)] = claim
        return count

    def collect(self, seconds: float = COLLECT_SECONDS) -> None:
        """Record the answers that arrive within `seconds`, and undo the claims that were not sent."""
        done, _ = wait(self.in_flight, timeout=seconds)
        answers: list[CallResult] = []
        unsent: list[Claim] = []
        for future in done:
            claim = self.in_flight.pop(future)
            answer = _result_of(future, claim)
            if answer is None:
                unsent.append(claim)
            else:
                answers.append(answer)
        if answers:
            self._paused_pixels |= attempts.process_answers(answers)
            self._stop_refused(answers)
        # Last, since the reason for not sending them must be recorded before they are due again.
        if unsent:
            leases.undo(unsent)
        if not self.in_flight:
            self._stopped_attempts.clear()

    def _stop_refused(self, answers: Iterable[CallResult]) -> None:
        """Stop the claimed calls of configs whose credential was refused."""
        refused = {
            answer.claim.delivery.config.pk for answer in answers if answer.outcome.verdict == Verdict.CREDENTIAL
        }
        in_flight = self.in_flight.values()
        self._stopped_attempts |= {claim.attempt_id for claim in in_flight if claim.delivery.config.pk in refused}
        self._refused_configs -= refused

    def _wait_for_limiter(self, until: float) -> bool:
        """Sleep COLLECT_SECONDS; False if the rate limiter allows no call within MAX_WAIT_SECONDS and before `until`.

        It does not sleep until that call, since deliveries of another pixel may become due earlier.
        """
        seconds = claims.seconds_until_claimable(self._network)
        if seconds is None or seconds > MAX_WAIT_SECONDS or time.monotonic() + seconds > until:
            return False
        time.sleep(COLLECT_SECONDS)
        return True

    def _send(self, claim: Claim) -> CallResult | None:
        """Make the call at its planned time, in a thread of the pool; None if it must not be made any more."""
        config = claim.delivery.config
        _call_spacing.wait(config.network, config.flow_pixel, (claim.starts_at - clock.now()).total_seconds())
        is_refused = config.pk in self._refused_configs or claim.attempt_id in self._stopped_attempts
        is_paused = self._has_failed or config.flow_pixel in self._paused_pixels
        if is_refused or is_paused or clock.now() > claim.latest_start:
            return None
        answer = _call(claim)
        if answer.outcome.verdict == Verdict.CREDENTIAL:
            self._refused_configs.add(config.pk)
        return answer


def _call(claim: Claim) -> CallResult:
    """Build the request, send it and classify the response."""
    config = claim.delivery.config
    network = config.kind
    if not network.has_credential(config.credential):
        logger.error("credential_unreadable", config_id=str(config.pk))
        return CallResult(claim, Outcome(Verdict.CREDENTIAL, None, rules.UNREADABLE))
    target = config.target()
    build, classify = partial(_request, claim), partial(_classify, claim, target)
    try:
        call = http.call(network, target, build, classify=classify, timeout=TIMEOUT_SECONDS)
    except conversion_facts.BAD_DATA as error:
        logger.exception("request_not_built", delivery_id=str(claim.delivery.pk))
        message = f"This event cannot be converted to {with_article(network.label)} event ({type(error).__name__})."
        return CallResult(claim, Outcome(Verdict.PAYLOAD, None, f"{message} Nothing was sent."))
    return CallResult(claim, unanswered.by_setting(config, call.outcome), call.request, call.response)


def _request(claim: Claim, target: Target) -> Request:
    facts = claim.facts or cancellation.facts_of(claim.delivery, claim.level)
    request = claim.delivery.config.kind.build(target, facts)
    return request if claim.body is None else replace(request, body=json_body(claim.body))


def _classify(claim: Claim, target: Target, response: Response) -> Outcome:
    """The outcome of a response; an unknown one if the network's classification raises an error."""
    try:
        return claim.delivery.config.kind.classify_answer(response, target)
    except Exception as error:  # after an unexpected response the call must still be recorded
        logger.exception("answer_unreadable", delivery_id=str(claim.delivery.pk))
        return unanswered.unread(claim.delivery.config, f"The answer could not be read ({type(error).__name__})")


def _result_of(future: Future[CallResult | None], claim: Claim) -> CallResult | None:
    """The result of a call; an unknown outcome if it raised an error, which must not affect other calls."""
    try:
        return future.result()
    except Exception as error:
        name = type(error).__name__
        logger.exception("delivery_call_failed", delivery_id=str(claim.delivery.pk), error=name)
        return CallResult(
            claim, unanswered.unread(claim.delivery.config, f"Afterclick failed while sending this ({name})")
        )
