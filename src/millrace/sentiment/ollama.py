"""Ollama, through its own package: the chat first, and generate where that gave no label."""

from collections.abc import Sequence
from typing import Any

from ollama import AsyncClient, ChatResponse, GenerateResponse
from ollama._types import Logprob

from millrace.sentiment import prompt
from millrace.sentiment.answer import shown
from millrace.sentiment.extras import Extras
from millrace.sentiment.score import Token
from millrace.sentiment.spec import Spec
from millrace.sentiment.wire import Failure, Reply, Transport, Way

CONTEXT = 4_096  # tokens of the question and the answer: more than a text of 2,000 characters and the instruction take
ALTERNATIVES = 10  # likely tokens that are told at each place


class Ollama:
    """A model of the Ollama at `spec.url`.

    Some models ignore the form of the answer in a chat without thinking; generate enforces it.
    """

    def __init__(self, spec: Spec) -> None:
        key = {"Authorization": f"Bearer {spec.key.get_secret_value()}"} if spec.key else {}
        self._client = AsyncClient(
            spec.url,
            follow_redirects=False,
            timeout=spec.timeout,
            headers=key,
            transport=Transport(spec.key),
            trust_env=False,
        )
        self._spec = spec
        self._extras = Extras(
            think={"think": False},  # without it a model that can think does
            logprobs={"logprobs": True, "top_logprobs": ALTERNATIVES},
        )

    @property
    def ways(self) -> Sequence[Way]:
        return self._chat, self._generate

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def _chat(self, text: str) -> Reply:
        answered = await self._asked(self._client.chat, messages=prompt.messages(text))
        return _reply(answered, answered.message.content, answered.message.thinking)

    async def _generate(self, text: str) -> Reply:
        answered = await self._asked(self._client.generate, system=prompt.INSTRUCTION, prompt=text)
        return _reply(answered, answered.response, answered.thinking)

    async def _asked(self, ask: Any, **question: Any) -> Any:
        without = self._extras.left_out
        try:
            answered = await ask(
                self._spec.model,
                format=prompt.SCHEMA,
                options={
                    "temperature": 0,
                    "seed": 1,
                    "num_predict": self._spec.tokens,
                    "num_ctx": max(CONTEXT, 2 * self._spec.characters),
                },
                **question,
                **self._extras.values(),
            )
        except Failure as failure:
            raise self._extras.refused(failure, without) from None
        except (ValueError, TypeError, RecursionError) as error:  # JSON that is none, or is something else
            raise Failure(f"not an answer: {shown(str(error))}") from None
        self._extras.accepted(without)
        return answered


def _reply(answered: ChatResponse | GenerateResponse, content: str | None, thinking: str | None) -> Reply:
    truncated = "done is not true" if not answered.done else "length" if answered.done_reason == "length" else None
    tokens = (answered.prompt_eval_count or 0) + (answered.eval_count or 0)
    return Reply(content, thinking, truncated, [_token(each) for each in answered.logprobs or ()], tokens or None)


def _token(told: Logprob) -> Token:
    return Token(told.token, told.logprob, [(each.token, each.logprob) for each in told.top_logprobs or ()])
