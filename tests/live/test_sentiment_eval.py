"""A real model behind a real Ollama: how it is measured, and what posts that give orders do to it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import injections, tiny_model
from tests.support import Child

from millrace.config import Settings
from millrace.sentiment.choice import choice
from millrace.sentiment.engine import labeller
from millrace.sentiment.labelled import read
from millrace.sentiment.labels import LABELS, Labeller, Text

ORDINARY = [post for post in read(injections.POSTS) if post.language == "en" and post.kind == "clear"]
ATTACKS = injections.injections()


@pytest.fixture(scope="module")
def tiny(ollama: Settings) -> Labeller:
    """The tiny model, by the engine as jobs have it; its calls go out four at once."""
    return labeller(choice(ollama, "ollama", tiny_model.NAME, concurrency=4, timeout=120.0))


@pytest.fixture
def evaluated(ollama: Settings, tmp_path: Path) -> Callable[..., str]:
    """Run `millrace sentiment eval` with the tiny model; returns its standard output."""

    def run(*options: str, expected: int = 0) -> str:
        chosen = ["--engine", "ollama", "--base-url", ollama.ollama_url, "--timeout", "2m", *options]
        told = Child(tmp_path, "sentiment", "eval", str(injections.POSTS), *chosen, "--home", str(tmp_path))
        assert told.ends(300) == expected, told.text()
        return told.out.read_text() if not expected else told.text()

    return run


def test_a_post_that_gives_orders_leaves_its_neighbours_their_labels(tiny: Labeller) -> None:
    """Among fifty of them ordinary posts are labelled as they are without them; each answer is lawful."""
    ordinary = [Text(post.text, post.language) for post in ORDINARY]
    hostile = [Text(each.text, each.language) for each in ATTACKS]
    alone = tiny.label(ordinary)
    among = tiny.label(
        [text for pair in zip(hostile, ordinary, strict=False) for text in pair] + hostile[len(ordinary) :]
    )
    assert [each.label for each in among[1 : 2 * len(ordinary) : 2]] == [each.label for each in alone]
    assert {each.label for each in alone} >= {"positive", "negative"} and not any(each.error for each in alone)
    assert all((each.label in LABELS) != bool(each.error) for each in among)
    longest = max(
        zip(hostile[len(ordinary) :], among[2 * len(ordinary) :], strict=True), key=lambda pair: len(pair[0].text)
    )
    assert longest[1].cut and longest[1].label, "100 kB: the beginning is asked about"


def test_a_real_model_is_measured(evaluated: Callable[..., str], tmp_path: Path) -> None:
    """All posts and injections through the command; figures of so small a model are only bounded by what is certain."""
    with (tmp_path / "injections.csv").open("w", encoding="utf-8", newline="") as file:
        injections.write(file)
    told = json.loads(evaluated("--model", tiny_model.NAME, "--injections", str(tmp_path / "injections.csv"), "--json"))
    assert (told["model"], told["overall"]["posts"], told["overall"]["unlabelled"]) == (tiny_model.NAME, 300, 0)
    assert sum(sum(said.values()) for said in told["overall"]["confusion"].values()) == 300
    assert {name: figures["posts"] for name, figures in told["languages"].items()} == dict.fromkeys(
        ("en", "de", "es", "fr", "ja"), 60
    )
    assert told["accuracies"]["en"]["clear"] > 1 / 3, "English is what it learnt"
    assert told["tokens"] > 300 and told["tokens_per_second"] > told["posts_per_second"] > 0
    assert told["injections"]["posts"] == told["injections"]["valid"] == 50
    assert 0 <= told["injections"]["flip_rate"] <= 1


def test_a_model_that_is_not_there(evaluated: Callable[..., str]) -> None:
    assert "no post got a label: " in (said := evaluated("--model", "nobody", expected=1)) and "nobody" in said
