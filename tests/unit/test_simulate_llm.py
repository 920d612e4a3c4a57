"""The double of servers of language models, asked as their users ask it."""

import httpx
import pytest

from millrace.errors import ConfigError, Unavailable
from millrace.simulate import llm
from millrace.simulate.llm import MODEL, Model, label_of

QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "I love it"}]}


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def client(model):
    with llm.running(model) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.mark.parametrize(
    ("text", "label"),
    [("Good, great!", "positive"), ("Ugly and sad", "negative"), ("good or bad", "neutral"), ("goodness", "neutral")],
)
def test_a_label_goes_by_words(text, label):
    assert label_of(text) == label


def test_each_protocol_answers_in_its_form(client):
    chat = client.post("/api/chat", json=QUESTION).json()
    assert chat["message"] == {"role": "assistant", "content": '{"sentiment": "positive"}'} and chat["done"] is True
    generated = client.post("/api/generate", json={"model": MODEL, "prompt": "so sad"}).json()
    assert generated["response"] == '{"sentiment": "negative"}'
    [choice] = client.post("/v1/chat/completions", json=QUESTION).json()["choices"]
    assert choice["message"]["content"] == '{"sentiment": "positive"}' and choice["finish_reason"] == "stop"
    assert client.get("/api/tags").json()["models"][0]["name"] == client.get("/v1/models").json()["data"][0]["id"]
    assert client.get("/api/version").is_success and client.get("/nothing").status_code == 404


def test_calls_and_texts_are_counted(client, model):
    for _ in range(2):
        client.post("/api/chat", json=QUESTION)
    client.post("/v1/chat/completions", json=QUESTION)
    assert client.get("/counts").json() == {"calls": 3, "texts": 1, "at_once": 1} == model.counts()


def test_tokens_are_told_where_they_are_asked_for(client):
    told = client.post("/api/chat", json={**QUESTION, "logprobs": True}).json()["logprobs"]
    assert "".join(each["token"] for each in told) == '{"sentiment": "positive"}'
    assert max(len(each["top_logprobs"]) for each in told) == 3


def test_faults_begin_and_end_while_it_is_served(client):
    assert client.put("/fault", json={"fault": "broken", "only": "love", "times": 1}).json()["times"] == 1
    other = {"model": MODEL, "prompt": "hello"}
    assert [client.post("/api/generate", json=other).status_code, client.post("/api/chat", json=QUESTION).status_code,
            client.post("/api/chat", json=QUESTION).status_code] == [200, 500, 200]  # fmt: skip
    client.put("/fault", json={"fault": "dead"})
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/api/chat", json=QUESTION)
    assert client.put("/fault", json={"fault": "none"}).status_code == 400
    assert client.put("/fault", json={"kind": "dead"}).status_code == 400


def test_a_fault_that_there_is_not():
    with pytest.raises(ConfigError, match="limited-date"):
        Model(fault="none")


def test_a_port_that_is_taken(client):
    with pytest.raises(Unavailable, match="another --port"), llm.running(Model(), client.base_url.port):
        pass
