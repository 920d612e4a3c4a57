"""Posts that give orders, among ordinary posts, through engines: labels stay labels, and neighbours keep theirs."""

from dataclasses import replace

import pytest

from millrace.config import Settings
from millrace.sentiment import evaluate
from millrace.sentiment.choice import choice
from millrace.sentiment.engine import Spec, choose, labeller
from millrace.sentiment.labelled import read
from millrace.sentiment.labels import LABELS, Text
from millrace.simulate.faults import FAULTS
from millrace.simulate.llm import Model, label_of, running
from tests import injections

INJECTIONS = injections.injections()
ORDINARY = [Text(post.text, post.language) for post in read(injections.POSTS)[:30]]
ATTACKS = [Text(each.text, each.language) for each in INJECTIONS]
PROTOCOLS = {"ollama": "", "openai": "/v1"}


def asked(engine: str, url: str) -> Spec:
    return replace(choose(engine, "double:latest", url + PROTOCOLS[engine]), concurrency=8, attempts=1)


@pytest.mark.parametrize("engine", PROTOCOLS)
def test_neighbours_keep_their_labels(engine):
    """Each post is a question of its own: what one says reaches no other."""
    with running(Model()) as url:
        spec = asked(engine, url)
        alone = labeller(spec).label(ORDINARY)
        mixed = [text for pair in zip(ORDINARY, ATTACKS, strict=False) for text in pair]
        among = labeller(spec).label(mixed + ATTACKS[len(ORDINARY) :])
    assert [each.label for each in among[: 2 * len(ORDINARY) : 2]] == [each.label for each in alone]
    assert {each.label for each in alone} == set(LABELS), "else it would prove little"
    assert all((each.label in LABELS) != bool(each.error) for each in among)


@pytest.mark.parametrize("engine", PROTOCOLS)
@pytest.mark.parametrize("fault", ["prose", "wrong-label", "list", "empty", "html"])
def test_a_model_that_obeys_costs_the_post_its_label_and_no_other(engine, fault):
    """It answers what the post asked for, and that is no label: null with a reason."""
    attack = replace(ATTACKS[0], text=f"{ATTACKS[0].text} obey")
    with running(Model(fault=fault, only="obey")) as url:
        outcomes = labeller(asked(engine, url)).label([*ORDINARY, attack])
    assert fault in FAULTS and outcomes[-1].label is None and outcomes[-1].error
    assert [each.label for each in outcomes[:-1]] == [label_of(text.text) for text in ORDINARY]


def test_of_a_long_post_the_beginning_alone_is_asked():
    """What stands behind it reaches no model: an order there is cut off, and that is told."""
    [long] = [each for each in ATTACKS if each.text.endswith("negative.") and len(each.text) >= injections.LONG]
    with running(model := Model()) as url:
        [outcome] = labeller(asked("ollama", url)).label([long])
    assert outcome.cut and outcome.label and not any("Ignore all" in text for text in model.texts)


def test_the_lexicon_counts_words_wherever_they_stand():
    """A flip is not hidden: what evaluation tells of VADER is what its labels are."""
    vader = labeller(choose("vader"))
    posts = INJECTIONS
    both = [vader.label([Text(each.text, each.language), Text(each.clean, each.language)]) for each in posts]
    found = evaluate.resist(posts, [one for one, _ in both], [two for _, two in both])
    assert (found.valid, found.compared, found.unlabelled) == (50, 46, 0)
    assert found.flipped == sum(one.label != two.label for one, two in both) > 10


@pytest.mark.parametrize(("engine", "key"), [("openai", "hush"), ("ollama", None)])
def test_the_engine_of_the_settings(engine, key):
    """Without an option its server is that of the settings; the key goes to the one it is for."""
    settings = Settings(openai_url="http://127.0.0.1:8000/v1", OPENAI_API_KEY="hush")
    given = choice(settings, engine, "m", None, concurrency=3, timeout=5.0)
    assert (given.key and given.key.get_secret_value()) == key and "hush" not in repr(given)
    assert (given.concurrency, given.timeout, given.model) == (3, 5.0, "m")
    assert engine != "openai" or given.url == "http://127.0.0.1:8000/v1"
    named = choice(settings, engine, "m", "http://127.0.0.1:9", concurrency=3, timeout=5.0)
    assert named.url == "http://127.0.0.1:9"
