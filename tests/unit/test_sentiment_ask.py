"""Asking servers about many texts: each fault costs the texts that it meets, and nobody else."""

import asyncio
import gc
import logging
import threading
from dataclasses import replace

import httpx
import pytest
import tenacity
from pydantic import SecretStr

from millrace.sentiment import circuit, question
from millrace.sentiment.engine import ENGINES, choose
from millrace.sentiment.labels import Budget, Text
from millrace.sentiment.wire import Transport
from millrace.simulate import faults, llm
from millrace.simulate.llm import Model, label_of
from tests.support import wait

TEXTS = ["good morning", "a sad day", "the train leaves at nine", "great, love it", "what a terrible night"]
SPOILED = "spoiled: a good one"
ALL = [*TEXTS[:3], SPOILED, *TEXTS[3:]]
SERVERS = ["ollama", "openai"]
READ = {
    "bare",
    "fence",
    "thought",
    "unopened",
    "thinking",
    "no-think",
    "no-form",
    "no-logprobs",
    "packed",
}  # labels all the same
REASONS = {  # how the reason begins, of those that cost the label
    "dead": "server away: ",
    "slow": "timeout",
    "limited": "HTTP 429: too many requests",
    "limited-date": "HTTP 429: ",
    "limited-bare": "HTTP 429: ",
    "busy": "HTTP 503: ",
    "broken": "HTTP 500: ",
    "echo": "HTTP 401: ",
    "refused": "HTTP 400: ",
    "no-model": "HTTP 404: model 'double' not found",
    "redirect": "HTTP 302",
    "html": "not an answer: <!DOCTYPE html>",
    "no-json": "not an answer: ",
    "other-json": "not an answer: ",
    "endless": "not an answer: more than ",
    "bomb": "not an answer: more than ",
    "truncated": "truncated: length",
    "not-done": "truncated: ",
}
NO_LABEL = (
    "prose",
    "wrong-label",
    "two-labels",
    "list",
    "nested",
    "empty-object",
    "empty",
    "unended",
    "thinking-prose",
)
REASONS |= dict.fromkeys(NO_LABEL, "no label: ")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Nothing is known of servers of other tests; pauses between tries are short."""
    circuit.of.cache_clear()
    monkeypatch.setattr(question, "_BACKOFF", tenacity.wait_none())
    monkeypatch.setattr(circuit, "FIRST", 0.01)
    monkeypatch.setattr(circuit, "PATIENCE", 0.1)


@pytest.fixture
def model():
    return Model(retry_after=0.01, slow=60.0)


@pytest.fixture
def url(model):
    with llm.running(model) as address:
        yield address


@pytest.fixture
def made(url):
    """Make labellers, closed at the end."""
    labellers = []

    def make(engine="ollama", **options):
        spec = choose(engine, "double", url + ("/v1" if engine == "openai" else ""))
        labellers.append(ENGINES[engine].make(replace(spec, **options)))
        return labellers[-1]

    yield make
    for each in labellers:
        each.close()


def ask(labeller, texts, **options):
    return labeller.label([Text(each) for each in texts], **options)


def labels(outcomes):
    return [each.label for each in outcomes]


@pytest.mark.parametrize("engine", SERVERS)
def test_texts_are_labelled(made, model, engine):
    found = ask(made(engine), TEXTS)
    assert labels(found) == [label_of(each) for each in TEXTS]
    assert all(each.score == pytest.approx(0.8) and each.tokens == 48 and each.asked == 1 for each in found)
    assert all(each.error is None and each.latency_ms is not None and not each.cut for each in found)
    assert model.counts()["calls"] == len(TEXTS)


@pytest.mark.parametrize("engine", SERVERS)
@pytest.mark.parametrize("fault", [fault for fault in faults.FAULTS if fault != "chat-prose"])
def test_a_fault_costs_the_text_that_it_meets_and_no_other(made, model, engine, fault):
    model.spoil(fault, only="spoiled")
    labeller = made(engine, timeout=5.0 if fault != "slow" else 0.3, key=SecretStr("secret-key"))
    found = dict(zip(ALL, ask(labeller, ALL), strict=True))
    spoiled = found.pop(SPOILED)
    assert labels(found.values()) == [label_of(each) for each in found]
    if fault in READ:
        assert (spoiled.label, spoiled.error) == ("positive", None)
    else:
        assert spoiled.label is None and spoiled.score is None and spoiled.asked
        assert spoiled.error.startswith(REASONS[fault]) and "secret-key" not in spoiled.error
    model.spoil("")
    wait(lambda: labels(ask(labeller, [SPOILED])) == ["positive"], "its label")


@pytest.mark.parametrize("engine", SERVERS)
@pytest.mark.parametrize("fault", ["dead", "slow", "limited", "broken", "html", "truncated", "prose"])
def test_a_server_that_fails_in_all_is_asked_little_and_taken_back(made, model, engine, fault, monkeypatch):
    model.spoil(fault)
    labeller = made(engine, timeout=0.3, concurrency=4)
    texts = [f"good {number}" for number in range(60)]
    found = ask(labeller, texts)
    assert labels(found) == [None] * len(texts)
    begins = (REASONS[fault], f"circuit open: {REASONS[fault]}")
    assert all(each.error.startswith(begins) for each in found)
    if fault not in ("truncated", "prose"):  # those are answers
        assert model.calls < len(texts) and any(each.asked == 0 for each in found)
    model.spoil("")
    wait(lambda: set(labels(ask(labeller, texts))) == {"positive"}, "labels again")


@pytest.mark.parametrize("fault", ["broken", "busy", "dead", "slow", "limited", "limited-date", "limited-bare"])
def test_what_may_be_better_the_next_time_is_tried_again(made, model, fault):
    model.spoil(fault, times=1)
    [found] = ask(made(timeout=0.3 if fault == "slow" else 5.0), ["good"])
    assert (found.label, found.asked, model.calls) == ("positive", 2, 2)


@pytest.mark.parametrize("fault", ["refused", "no-model", "echo", "redirect", "html", "other-json"])
def test_what_will_be_the_same_is_not(made, model, fault):
    model.spoil(fault)
    labeller = made("openai")
    ask(labeller, ["bad"])  # which fields the server does without is learnt
    model.calls = 0
    [found] = ask(labeller, ["good"])
    assert found.asked == model.calls == (4 if fault == "refused" else 1)  # each optional field is left out in turn


def test_a_text_that_is_limited_comes_back_as_often_as_it_is_told_to(made, model):
    model.spoil("limited", times=3)
    [found] = ask(made(attempts=1), ["good"])
    assert found.label == "positive" and found.asked == model.calls == 4


def test_but_not_for_ever(made, model, monkeypatch):
    monkeypatch.setattr(circuit, "FAILURES", 10_000)
    model.spoil("limited")
    [found] = ask(made(), ["good"])
    assert found.error.startswith("HTTP 429") and model.calls == question.LIMITED + 1


def test_a_retry_budget_bounds_what_a_failing_server_gets(made, model, monkeypatch):
    monkeypatch.setattr(circuit, "FAILURES", 10_000)
    model.spoil("broken")
    texts = [f"good {number}" for number in range(100)]
    ask(made(), texts)
    assert len(texts) + circuit.SPARE <= model.calls <= len(texts) + circuit.SPARE + len(texts) // circuit.TEXTS


def test_equal_texts_are_asked_about_once(made, model):
    told = []
    found = ask(
        made(characters=10),
        ["good", "bad", "good", "good morning", "good morning, all"],
        told=lambda *each: told.append(each),
    )
    assert labels(found) == ["positive", "negative", "positive", "positive", "positive"]
    assert model.counts()["calls"] == model.counts()["texts"] == 3
    assert [each.asked for each in found] == [1, 1, 0, 1, 0] and [each.cut for each in found] == [False] * 3 + [
        True
    ] * 2
    assert sorted(told) == list(enumerate(found))


def test_outcomes_are_told_in_the_calling_thread_as_they_come(made, model):
    """The first is told while others are still asked about."""
    model.latency = 0.02
    told = []
    ask(made(concurrency=1), TEXTS, told=lambda *_: told.append((threading.current_thread(), model.calls)))
    assert {thread for thread, _ in told} == {threading.current_thread()}
    assert told[0][1] < len(TEXTS) == len(told)


def test_no_more_calls_at_once_than_allowed(made, model):
    model.latency = 0.01
    ask(made(concurrency=3), [f"{number}" for number in range(30)])
    assert model.at_once == 3


def test_the_budget_of_texts(made, model):
    found = ask(made(), ["good", "good", "bad", "sad"], budget=Budget(texts=2))
    assert labels(found) == ["positive", "positive", "negative", None]
    assert found[3].error.startswith("skipped: ") and found[3].asked == 0 and model.calls == 2


def test_the_budget_of_seconds(made, model):
    """No text is begun when it is over, and what was begun is finished."""
    model.latency = 0.3
    found = ask(made(concurrency=2), ["good 1", "good 2", "good 3", "good 4"], budget=Budget(seconds=0.1))
    assert labels(found) == ["positive", "positive", None, None]
    assert all(each.error.startswith("skipped: ") for each in found[2:]) and model.calls == 2


def test_a_limited_server_does_not_hold_up_who_has_no_time(made, model):
    model.retry_after = 50.0
    model.spoil("limited")
    [found] = ask(made(), ["good"], budget=Budget(seconds=0.5))
    assert found.error.startswith("HTTP 429") and model.calls == 1


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_text_of_blanks_is_not_asked_about(made, model, text):
    [found] = ask(made(), [text])
    assert (found.label, found.error, model.calls) == (None, "no text", 0)


def test_nothing_to_ask(made):
    assert made().label([]) == []


def test_a_model_that_ignores_the_form_in_a_chat_is_asked_by_generate(made, model):
    model.spoil("chat-prose")
    [found] = ask(made(), ["good"])
    assert (found.label, found.asked) == ("positive", 2)


@pytest.mark.parametrize(
    ("engine", "fault"), [("ollama", "no-think"), ("openai", "no-form"), ("openai", "no-logprobs")]
)
def test_what_a_server_refuses_is_left_out_from_then_on(made, model, engine, fault):
    model.spoil(fault)
    labeller = made(engine, concurrency=1)
    assert [each.asked for each in ask(labeller, TEXTS)] == [2, 1, 1, 1, 1]
    [found] = ask(labeller, ["good"])
    assert found.label == "positive" and (found.score is None) == (fault == "no-logprobs")


def test_a_text_that_is_refused_takes_nothing_from_others(made, model):
    """The form of the answer is still asked for: a server that would refuse it does."""
    labeller = made("openai", concurrency=1)
    ask(labeller, ["good"])
    model.spoil("refused", only="spoiled")
    assert ask(labeller, [SPOILED])[0].asked == 1
    model.spoil("no-form")
    assert ask(labeller, ["bad"])[0].asked == 2


def test_a_closed_port_and_the_server_that_comes_back(model):
    with llm.running(model) as url:
        pass
    labeller = ENGINES["ollama"].make(replace(choose("ollama", "double", url), concurrency=2))
    assert [each.error for each in ask(labeller, ["good"])] == ["server away: ClientConnectorError"]
    with llm.running(model, port=int(url.rpartition(":")[2])):
        wait(lambda: labels(ask(labeller, ["good"])) == ["positive"], "a label")
    labeller.close()


def test_connections_that_a_restart_closed_cost_nothing(model):
    with llm.running(model) as url:
        labeller = ENGINES["ollama"].make(choose("ollama", "double", url))
        ask(labeller, TEXTS)
    with llm.running(model, port=int(url.rpartition(":")[2])):
        assert labels(ask(labeller, TEXTS)) == [label_of(each) for each in TEXTS]
    labeller.close()


def test_no_packing_is_asked_for_that_may_not_be_undone(url, model, monkeypatch):
    """httpx asks for zstd where that happens to be installed."""
    accepted, labelled = [], model._labelled
    listen = lambda asked: accepted.append(asked.headers["accept-encoding"]) or labelled(asked)  # noqa: E731
    monkeypatch.setattr(model, "_labelled", listen)

    async def post():
        transport = Transport()
        asked = {"model": "double", "messages": [{"role": "user", "content": "good"}]}
        request = httpx.Request("POST", f"{url}/api/chat", headers={"Accept-Encoding": "zstd"}, json=asked)
        await transport.handle_async_request(request)
        await transport.aclose()

    asyncio.run(post())
    assert accepted == ["gzip, deflate"]


def test_the_key_is_sent_and_never_shown(made, model, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    spec = replace(choose("openai", "double", "http://127.0.0.1:9/v1"), key=SecretStr("secret-key"))
    model.spoil("echo")
    [found] = ask(made("openai", key=SecretStr("secret-key")), ["good"])
    assert "who is Bearer ***?" in found.error
    output = capsys.readouterr()
    assert "secret-key" not in f"{spec!r} {found!r} {caplog.text} {output.out} {output.err}"


def test_any_thread_may_ask_also_one_whose_loop_runs(made):
    labeller = made()
    results = []
    thread = threading.Thread(target=lambda: results.append(labels(ask(labeller, ["good"]))))
    thread.start()
    thread.join()

    async def within():
        return labels(ask(labeller, ["sad"]))

    assert [*results, asyncio.run(within())] == [["positive"], ["negative"]]


def test_an_error_of_who_is_told_ends_the_asking(made, model):
    model.latency = 0.01

    labeller = made(concurrency=1)

    def told(*_):
        raise RuntimeError("stored nowhere")

    with pytest.raises(RuntimeError):
        ask(labeller, [f"{number}" for number in range(1_000)], told=told)
    before = model.calls
    ask(labeller, [f"good {number}" for number in range(50)])
    assert model.calls - before <= 51  # one may have been under way


def test_what_is_thrown_away_leaves_nothing_open(url):
    labeller = ENGINES["ollama"].make(choose("ollama", "double", url))
    ask(labeller, TEXTS)
    del labeller
    gc.collect()
