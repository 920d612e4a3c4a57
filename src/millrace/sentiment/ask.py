"""Ask a server of models about many texts at once: each gets its answer or its reason, none costs another's."""

import asyncio
import logging
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from time import monotonic

from millrace.sentiment import background, circuit, prompt
from millrace.sentiment.labels import SKIPPED, UNLIMITED, Budget, Outcome, Text, Told, unlabelled, untold
from millrace.sentiment.question import Question
from millrace.sentiment.spec import Spec
from millrace.sentiment.wire import Server

CLOSING = 5.0  # seconds
Answers = SimpleQueue[tuple[str, Outcome] | None]

logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells each call


class Asker:
    """Labels texts by a server, `spec.concurrency` at once. Its connections stay open from call to call.

    They live in the loop of `background`, so that any thread can ask, also one whose own loop runs.
    """

    def __init__(self, spec: Spec, connect: Callable[[Spec], Server]) -> None:
        self.model = spec.model
        self.prompt_version = prompt.version(spec.characters)
        self._spec = spec
        self._circuit = circuit.of(spec.url or "")
        self._loop = background.loop()
        self._server = asyncio.run_coroutine_threadsafe(_connected(connect, spec), self._loop).result()
        self.close = weakref.finalize(self, _close, self._loop, self._server)

    def label(self, texts: Sequence[Text], budget: Budget = UNLIMITED, told: Told = untold) -> list[Outcome]:
        """Return the outcome of each text, in their order; equal texts are asked about once."""
        places: defaultdict[str, list[int]] = defaultdict(list)
        for place, each in enumerate(texts):
            places[prompt.cut(each.text, self._spec.characters)].append(place)
        answers: Answers = SimpleQueue()
        asking = asyncio.run_coroutine_threadsafe(self._ask(list(places), budget, answers), self._loop)
        outcomes: list[Outcome | None] = [None] * len(texts)
        try:
            while found := answers.get():
                text, outcome = found
                for place in places[text]:
                    cut = len(texts[place].text) > self._spec.characters
                    asked = outcome.asked if place == places[text][0] else 0  # the others cost nothing
                    outcomes[place] = shared = outcome._replace(cut=cut, asked=asked)
                    told(place, shared)
            asking.result()
        finally:
            asking.cancel()
        return [outcome for outcome in outcomes if outcome]

    async def _ask(self, texts: Sequence[str], budget: Budget, answers: Answers) -> None:
        until = None if budget.seconds is None else monotonic() + budget.seconds
        left = iter(enumerate(texts))

        async def work() -> None:
            for number, text in left:  # shared: whoever is free takes the next one
                if budget.texts is not None and number >= budget.texts:
                    outcome = unlabelled(f"{SKIPPED}: more than {budget.texts} texts")
                else:
                    outcome = await Question(self._spec, self._server, self._circuit, text, until).outcome()
                answers.put((text, outcome))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._spec.concurrency, len(texts))):
                    group.create_task(work())
        finally:
            answers.put(None)


async def _connected(connect: Callable[[Spec], Server], spec: Spec) -> Server:
    return connect(spec)  # in the loop that it will live in


async def _closed(server: Server) -> None:
    await server.close()
    await asyncio.sleep(0)  # until then its sockets are only about to be closed


def _close(loop: asyncio.AbstractEventLoop, server: Server) -> None:
    closing = asyncio.run_coroutine_threadsafe(_closed(server), loop)
    if threading.current_thread().name != background.NAME:  # where the garbage collector may run, too
        closing.result(CLOSING)
