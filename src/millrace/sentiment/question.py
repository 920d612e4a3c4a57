"""One text on its way through a server to its outcome: calls, tries, and what the answer is worth."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import tenacity

from millrace.sentiment import answer, score
from millrace.sentiment.answer import NoLabel
from millrace.sentiment.circuit import Circuit, Late, Open
from millrace.sentiment.labels import NO_TEXT, Outcome, unlabelled
from millrace.sentiment.spec import Spec
from millrace.sentiment.wire import Failure, Reply, Server, Way

LIMITED = 8  # times that one text may be told to come back later
_BACKOFF = tenacity.wait_random_exponential(multiplier=0.5, max=5)  # seconds, with full jitter


@dataclass
class Question:
    """A `text` for `server`, of which no call begins after `until` on the monotonic clock."""

    spec: Spec
    server: Server
    circuit: Circuit
    text: str
    until: float | None
    calls: int = 0
    excused: int = 0  # of these, how many the server answered with when to come back
    latency: int | None = None
    failed: Failure | None = None

    async def outcome(self) -> Outcome:
        """Ask until there is a label, or a reason why there is none."""
        if not self.text.strip():
            return unlabelled(NO_TEXT)
        self.circuit.earn()
        reason = ""
        for way in self.server.ways:
            try:
                return self._read(await self._called(way))
            except NoLabel as error:
                reason = reason or str(error)  # the first is that of the usual way
            except (Failure, Late) as error:
                reason = reason or str(error)
                break
        return unlabelled(reason)._replace(asked=self.calls)

    def _read(self, reply: Reply) -> Outcome:
        if reply.truncated:
            raise NoLabel(f"truncated: {reply.truncated}")
        label = answer.label(reply.content, reply.thinking)
        sure = score.of(label, reply.written)
        return Outcome(label, None, datetime.now(UTC), sure, self.latency, reply.tokens, asked=self.calls)

    async def _called(self, way: Way) -> Reply:
        """Return the answer, tried again where that may help. Raises Failure and Late."""
        retrying = tenacity.AsyncRetrying(retry=tenacity.retry_if_exception(self._helps), wait=_wait, reraise=True)
        try:
            return await retrying(self._call, way)
        except (Open, Late):
            if self.failed:  # tells more than that there was no other try
                raise self.failed from None
            raise

    async def _call(self, way: Way) -> Reply:
        try:
            async with self.circuit.call(self.until):
                self.calls += 1
                return await self._timed(way)
        except Open:
            raise
        except Failure as failure:
            self.failed = failure
            raise

    async def _timed(self, way: Way) -> Reply:
        began = monotonic()
        try:
            async with asyncio.timeout(self.spec.timeout):
                reply = await way(self.text)
        except TimeoutError:
            raise Failure("timeout", again=True) from None
        self.latency = round((monotonic() - began) * 1000)
        return reply

    def _helps(self, error: BaseException) -> bool:
        """Return whether the call may be made again: the server may be better then, and the budget allows it."""
        if not isinstance(error, Failure) or not error.again:
            return False
        if error.after is not None:
            self.excused += 1
            return self.excused <= LIMITED
        return self.calls - self.excused < self.spec.attempts and self.circuit.spend()


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_to = isinstance(error, Failure) and error.after is not None  # the circuit lets no call out until then
    return 0.0 if asked_to else _BACKOFF(state)
