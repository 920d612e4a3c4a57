"""Servers that speak OpenAI's chat completions: vLLM, llama.cpp, LM Studio and others."""

from collections.abc import Sequence
from typing import Any

import httpx
import msgspec

from millrace.sentiment import prompt
from millrace.sentiment.answer import shown
from millrace.sentiment.extras import Extras
from millrace.sentiment.score import Token
from millrace.sentiment.spec import Spec
from millrace.sentiment.wire import Failure, Reply, Transport, Way

ALTERNATIVES = 10  # likely tokens that are told at each place


class _Likely(msgspec.Struct):
    token: str
    logprob: float


class _Written(_Likely):
    top_logprobs: list[_Likely] = []


class _Logprobs(msgspec.Struct):
    content: list[_Written] | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None  # as newer versions of vLLM name it


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None
    logprobs: msgspec.Raw = msgspec.Raw(b"null")  # read apart, since an odd one costs no label


class _Usage(msgspec.Struct):
    total_tokens: int | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class OpenAI:
    """A model of the server at `spec.url`, which ends in /v1 with most of them."""

    def __init__(self, spec: Spec) -> None:
        key = {"Authorization": f"Bearer {spec.key.get_secret_value()}"} if spec.key else {}
        self._client = httpx.AsyncClient(
            timeout=spec.timeout, headers=key, transport=Transport(spec.key), trust_env=False
        )
        self._url = f"{(spec.url or '').rstrip('/')}/chat/completions"
        self._spec = spec
        form = {"name": "sentiment", "strict": True, "schema": prompt.SCHEMA}
        self._extras = Extras(
            response_format={"response_format": {"type": "json_schema", "json_schema": form}},
            logprobs={"logprobs": True, "top_logprobs": ALTERNATIVES},
            chat_template_kwargs={"chat_template_kwargs": {"enable_thinking": False}},  # of vLLM and llama.cpp
        )

    @property
    def ways(self) -> Sequence[Way]:
        return (self._complete,)

    async def close(self) -> None:
        await self._client.aclose()

    async def _complete(self, text: str) -> Reply:
        without = self._extras.left_out
        question: dict[str, Any] = {
            "model": self._spec.model,
            "messages": prompt.messages(text),
            "max_tokens": self._spec.tokens,
            "temperature": 0,
            **self._extras.values(),
        }
        try:
            answered = await self._client.post(self._url, json=question)
            found = msgspec.json.decode(answered.content, type=_Completion)
        except Failure as failure:
            raise self._extras.refused(failure, without) from None
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise Failure(f"not an answer: {shown(str(error))}") from None
        self._extras.accepted(without)
        return _reply(found)


def _reply(found: _Completion) -> Reply:
    if not found.choices:
        raise Failure("not an answer: no choices")
    choice, message = found.choices[0], found.choices[0].message
    truncated = {"length": "length", None: "not finished"}.get(choice.finish_reason)
    thinking = message.reasoning_content or message.reasoning
    tokens = found.usage.total_tokens if found.usage else None
    return Reply(message.content, thinking, truncated, _written(choice.logprobs), tokens)


def _written(raw: msgspec.Raw) -> list[Token]:
    try:
        found = msgspec.json.decode(raw, type=_Logprobs | None)
    except (msgspec.MsgspecError, ValueError):
        return []
    return [
        Token(each.token, each.logprob, [(other.token, other.logprob) for other in each.top_logprobs])
        for each in (found.content if found else None) or ()
    ]
