"""What a server of language models may do wrong: instead of an answer, or within one."""

import gzip
import time
from email.utils import formatdate
from typing import Any, Literal, NamedTuple

import orjson

from millrace.simulate.http import Answer

FAULTS = {
    "dead": "hangs up",
    "slow": "answers after 30 seconds",
    "limited": "429 with Retry-After in seconds",
    "limited-date": "429 with Retry-After as a date",
    "limited-bare": "429 without Retry-After",
    "busy": "503",
    "broken": "500",
    "refused": "400",
    "echo": "401 that repeats the key",
    "no-model": "404, as where the model is not there",
    "no-think": "400 where the question has `think`",
    "no-form": "400 where the question has `response_format`",
    "no-logprobs": "400 where the question has `logprobs`",
    "redirect": "302 to elsewhere",
    "html": "200 with a page",
    "no-json": "200 with half of an answer",
    "other-json": "200 with JSON that is no answer",
    "endless": "200 with two megabytes",
    "bomb": "the same, packed by gzip into a few kilobytes",
    "packed": "the answer, packed by gzip",
    "prose": "a sentence that contains the label",
    "wrong-label": "a label that there is not",
    "two-labels": "an object with two labels",
    "list": "a list of the label",
    "nested": "the label in an inner object",
    "empty-object": "{}",
    "empty": "no content, no thoughts",
    "bare": "the label alone",
    "fence": "the answer in a code fence",
    "thought": "the answer behind a thought",
    "unopened": "the same, without the tag that begins the thought",
    "unended": "a thought that does not end, with labels in it",
    "thinking": "no content; the answer among the thoughts",
    "thinking-prose": "no content; a sentence among the thoughts",
    "truncated": "half an answer, ended by its length",
    "not-done": "an answer that is not done",
    "chat-prose": "a sentence in the chat; generate is right",
}
HANG_UP: Literal[False] = False


def packed(answer: Answer) -> Answer:
    """Return `answer` as a server sends it that packs by gzip."""
    return answer._replace(body=gzip.compress(answer.body), headers=(("Content-Encoding", "gzip"), *answer.headers))


_ENDLESS = Answer(b'{"content": "' + b"positive " * 250_000 + b'"}')
_BOMB = packed(_ENDLESS)


class Said(NamedTuple):
    """What the model says."""

    content: str
    thinking: str = ""
    done: bool = True
    reason: str = "stop"


def said(fault: str, label: str) -> Said:
    """Return the answer `label`, or what is said instead where `fault` is one of the model."""
    answer = f'{{"sentiment": "{label}"}}'
    thought = "Not negative, is it positive?\n</think>\n\n" + answer
    prose = f"I would say that the sentiment of this post is {label}."
    instead = {
        "prose": Said(prose),
        "chat-prose": Said(prose),
        "wrong-label": Said('{"sentiment": "mixed"}'),
        "two-labels": Said('{"sentiment": "positive", "sentiment": "negative"}'),
        "list": Said(f'["{label}"]'),
        "nested": Said(f'{{"answer": {answer}}}'),
        "empty-object": Said("{}"),
        "empty": Said(""),
        "bare": Said(f" {label.capitalize()}.\n"),
        "fence": Said(f"```json\n{answer}\n```"),
        "thought": Said(f"<think>\n{thought}"),
        "unopened": Said(thought),
        "unended": Said(f"<think>\n{answer}"),
        "thinking": Said("", thinking=answer),
        "thinking-prose": Said("", thinking=prose),
        "truncated": Said(answer[:-4], reason="length"),
        "not-done": Said(answer, done=False),
    }
    return instead.get(fault, Said(answer))


def spoiled(fault: str, question: dict[str, Any], retry_after: float, key: str) -> Answer | Literal[False] | None:
    """Return what comes instead of the model's answer where `fault` is one of the server, else None.

    `key`: the header that proves who asks.
    """
    field = fault.removeprefix("no-").replace("form", "response_format")
    if fault == "dead":
        return HANG_UP
    if fault in ("no-think", "no-form", "no-logprobs"):
        return _error(400, f"this model does not support {field}") if field in question else None
    later = time.time() + retry_after
    instead = {
        "limited": _error(429, "too many requests", ("Retry-After", f"{retry_after:g}")),
        "limited-date": _error(429, "too many requests", ("Retry-After", formatdate(later, usegmt=True))),
        "limited-bare": _error(429, "too many requests"),
        "busy": _error(503, "busy"),
        "broken": _error(500, "an inner error"),
        "echo": _error(401, f"who is {key}?"),
        "refused": _error(400, "a question that cannot be answered"),
        "no-model": _error(404, f"model '{question['model']}' not found"),
        "redirect": Answer(b"", 302, headers=(("Location", "/elsewhere"),)),
        "html": Answer(b"<!DOCTYPE html><html><body>positive</body></html>", kind="text/html"),
        "no-json": Answer(b'{"message": {"content": "posi'),
        "other-json": Answer(b'{"message": ["positive"], "choices": {"sentiment": "positive"}}'),
        "endless": _ENDLESS,
        "bomb": _BOMB,
    }
    return instead.get(fault)


def _error(status: int, message: str, *headers: tuple[str, str]) -> Answer:
    return Answer(orjson.dumps({"error": message}), status, headers=headers)
