"""VADER claims English, and nothing else."""

import pytest

from millrace.sentiment.engine import ENGINES, choose, labeller
from millrace.sentiment.labels import Budget, Text
from millrace.sentiment.vader import is_english


def outcomes(*texts, **budget):
    return labeller(choose("vader")).label([Text(*text) for text in texts], Budget(**budget))


def test_english_is_labelled():
    found = outcomes(("I love this, wonderful!", "en"), ("I hate this, awful.", "en-GB"), ("A table has legs.", "EN"))
    assert [each.label for each in found] == ["positive", "negative", "neutral"]
    assert all(each.error is None and 0 < each.score <= 1 and each.asked == 0 for each in found)
    assert found[2].score == 1  # nothing at all speaks against neutral


@pytest.mark.parametrize("language", ["de", "ja", "enm", "", None])
def test_other_languages_are_not(language):
    [found] = outcomes(("I love this, wonderful!", language))
    assert (found.label, found.error, found.score) == (None, "unknown language", None)
    assert not is_english(language)


def test_a_text_of_blanks_has_no_sentiment():
    [found] = outcomes(("\n ", "en"))
    assert (found.label, found.error) == (None, "no text")


def test_a_long_text_is_cut_and_said_to_be():
    long, short = outcomes(("good " * 1_000, "en"), ("good", "en"))
    assert long.cut and not short.cut and long.label == "positive"


def test_the_budget_is_kept():
    found = outcomes(("good", "en"), ("bad", "en"), texts=1)
    assert [each.label for each in found] == ["positive", None] and found[1].error.startswith("skipped: ")
    assert [each.error.partition(":")[0] for each in outcomes(("good", "en"), seconds=0)] == ["skipped"]


def test_outcomes_are_told_as_they_come():
    told = {}
    texts = [Text("good", "en"), Text("gut", "de")]
    found = labeller(choose("vader")).label(texts, told=told.__setitem__)
    assert told == dict(enumerate(found))


def test_the_model_is_the_package_that_is_there():
    assert labeller(choose("vader")).model == ENGINES["vader"].model
