"""A double of servers of language models: Ollama's protocol and OpenAI's, a label by words, and faults at any time."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from millrace.errors import ConfigError
from millrace.simulate import http, serving
from millrace.simulate.faults import FAULTS, Said, packed, said, spoiled
from millrace.simulate.http import Answer, Asked

PORT = 11435  # one beside Ollama's
MODEL = "double:latest"
LABELS = ("positive", "neutral", "negative")
GOOD = {"good", "great", "love", "happy", "wonderful", "excellent", "best", "thanks", "beautiful", "delighted"}
BAD = {"bad", "awful", "hate", "sad", "terrible", "worst", "broken", "angry", "disappointed", "ugly"}
_WORD = re.compile(r"\w+")


def label_of(text: str) -> str:
    """Return the right label: whether more good or more bad words are in the text."""
    words = _WORD.findall(text.lower())
    balance = sum(word in GOOD for word in words) - sum(word in BAD for word in words)
    return LABELS[1 - (balance > 0) + (balance < 0)]


@dataclass
class Model:
    """A model that takes `latency` seconds an answer; `fault`, one of FAULTS, may be set while it is served.

    A fault is for texts that contain `only`, and for so many calls as `times` says. `retry_after`: seconds that a
    limited client is told; `slow`: seconds that a slow answer takes. What it saw is counted: `calls`, the `texts` of
    these, and how many were `at_once` at most.
    Raises ConfigError for a fault that there is not.
    """

    latency: float = 0.0
    fault: str = ""
    only: str = ""
    times: int | None = None
    retry_after: float = 2.0
    slow: float = 30.0
    calls: int = 0
    at_once: int = 0
    texts: Counter[str] = field(default_factory=Counter)
    _now: int = 0

    def __post_init__(self) -> None:
        self.spoil(self.fault, self.only, self.times)

    def spoil(self, fault: str, only: str = "", times: int | None = None) -> None:
        """Do wrong from now on; an empty fault ends that. Raises ConfigError."""
        if fault and fault not in FAULTS:
            raise ConfigError(f"--fault {fault}: there are {', '.join(FAULTS)}")
        self.fault, self.only, self.times = fault, only, times

    def counts(self) -> dict[str, int]:
        """Return what it saw."""
        return {"calls": self.calls, "texts": len(self.texts), "at_once": self.at_once}

    async def answer(self, asked: Asked) -> Answer | None:
        """Answer a request; None hangs up."""
        if asked.path in WIRES and asked.method == "POST":
            return await self._labelled(asked)
        if asked.path == "/fault" and asked.method == "PUT":
            return self._told(orjson.loads(asked.body))
        tell = {
            "/api/tags": {"models": [{"name": MODEL, "model": MODEL, "size": 0}]},
            "/v1/models": {"object": "list", "data": [{"id": MODEL, "object": "model"}]},
            "/api/version": {"version": "0.0.0"},
            "/counts": self.counts(),
        }
        found = tell.get(asked.path)
        return _json(found) if found else _json({"error": f"there is no {asked.path}"}, 404)

    def _told(self, body: dict[str, Any]) -> Answer:
        try:
            self.spoil(**body)
        except (ConfigError, TypeError) as error:
            return _json({"error": str(error)}, 400)
        return _json({"fault": self.fault, "only": self.only, "times": self.times})

    def _due(self, text: str) -> str:
        """Return the fault that this call meets."""
        if not self.fault or self.only not in text or self.times == 0:
            return ""
        self.times = None if self.times is None else self.times - 1
        return self.fault

    async def _labelled(self, asked: Asked) -> Answer | None:
        question = orjson.loads(asked.body)
        text = question["prompt"] if "prompt" in question else question["messages"][-1]["content"]
        self.calls += 1
        self.texts[text] += 1
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        fault = self._due(text)
        try:
            await asyncio.sleep(self.slow if fault == "slow" else self.latency)
        finally:
            self._now -= 1
        instead = spoiled(fault, question, self.retry_after, asked.headers.get("authorization", ""))
        if instead is not None:
            return instead or None
        right = fault == "chat-prose" and asked.path == "/api/generate"
        answer = _json(WIRES[asked.path](said("" if right else fault, label_of(text)), question))
        return packed(answer) if fault == "packed" else answer


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(orjson.dumps(value), status)


def _ollama(name: str, said: Said, question: dict[str, Any]) -> dict[str, Any]:
    thought = {"thinking": said.thinking} if said.thinking else {}
    spoken = {"role": "assistant", "content": said.content, **thought}
    answer = {"message": spoken} if name == "message" else {"response": said.content, **thought}
    return {
        "model": question["model"],
        "created_at": "2025-01-01T00:00:00Z",
        **answer,
        "done": said.done,
        **({"done_reason": said.reason} if said.done else {}),
        "prompt_eval_count": 40,
        "eval_count": 8,
        **({"logprobs": list(_tokens(said))} if question.get("logprobs") else {}),
    }


def _openai(said: Said, question: dict[str, Any]) -> dict[str, Any]:
    thought = {"reasoning_content": said.thinking} if said.thinking else {}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": said.content, **thought},
        "finish_reason": said.reason if said.done else None,
        "logprobs": {"content": list(_tokens(said))} if question.get("logprobs") else None,
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": question["model"],
        "choices": [choice],
        "usage": {"prompt_tokens": 40, "completion_tokens": 8, "total_tokens": 48},
    }


WIRES: dict[str, Callable[[Said, dict[str, Any]], dict[str, Any]]] = {
    "/api/chat": partial(_ollama, "message"),
    "/api/generate": partial(_ollama, "response"),
    "/v1/chat/completions": _openai,
}


def _tokens(said: Said) -> Iterator[dict[str, Any]]:
    """Yield the tokens of an answer: a label is one, with probability 0.8, 0.1 for each of the others."""
    for token in re.findall("|".join((*LABELS, r"\w+", r"\W")), said.content):
        likely = [(other, -0.22314355 if other == token else -2.3025851) for other in LABELS]
        shown = likely if token in LABELS else [(token, -0.001)]
        yield {
            "token": token,
            "logprob": dict(shown)[token],
            "top_logprobs": [{"token": other, "logprob": logprob} for other, logprob in shown],
        }


def serve(model: Model, port: int = PORT) -> None:
    """Serve `model` until SIGTERM or SIGINT; prints `ready http://HOST:PORT` to stderr. Raises Unavailable."""
    hint = 'counts URL/counts\nfaults: curl -X PUT URL/fault -d \'{"fault": "limited"}\', and an empty one ends it\n'
    serving.until_signal(partial(http.serve, model.answer, port), hint)


@contextmanager
def running(model: Model, port: int = 0) -> Iterator[str]:
    """Serve `model` from a thread, yield `http://HOST:PORT`, stop the server at the end."""
    with serving.in_thread(partial(http.serve, model.answer, port)) as url:
        yield url
