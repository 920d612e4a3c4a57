"""The score of a label from the probabilities of tokens."""

from math import log

import pytest

from millrace.sentiment import score
from millrace.sentiment.score import Token


def token(text, chance=1.0, **others):
    return Token(text, log(chance), [(other, log(each)) for other, each in others.items()])


def test_a_label_of_one_token():
    written = [
        token('{"'),
        token("sentiment"),
        token('":"'),
        token("positive", 0.6, positive=0.6, neutral=0.2),
        token('"}'),
    ]
    assert score.of("positive", written) == pytest.approx(0.75)


def test_tokens_that_lead_to_no_label_do_not_count():
    assert score.of("neutral", [token("neutral", 0.2, neutral=0.2, The=0.5, negative=0.2, mixed=0.1)]) == pytest.approx(
        0.5
    )


def test_a_label_of_several_tokens():
    """`ne` leads to two labels, the next token decides."""
    written = [token("ne", 0.5, ne=0.5, positive=0.5), token("utral", 0.25, utral=0.25, gative=0.75)]
    assert score.of("neutral", written) == pytest.approx(0.5 * 0.25)


def test_a_token_that_brings_the_quotation_mark():
    written = [
        token('{"sentiment":'),
        Token(' "pos', log(0.8), [(' "pos', log(0.8)), (' "neg', log(0.2))]),
        token('itive"}'),
    ]
    assert score.of("positive", written) == pytest.approx(0.8)


def test_thoughts_before_the_label_do_not_count():
    written = [
        token("negative", 0.1, negative=0.1, positive=0.9),
        token("</think>"),
        token("negative", 0.9, positive=0.1),
    ]
    assert score.of("negative", written) == pytest.approx(0.9)


@pytest.mark.parametrize(
    "written",
    [[], [token("positive")], [Token("negative", float("nan"))]],
    ids=["none", "other", "nan"],
)
def test_tokens_that_do_not_say(written):
    assert score.of("negative", written) is None


def test_the_same_label_with_and_without_a_blank_is_counted_whole():
    written = [token("positive", 0.4, **{"positive": 0.4, " positive": 0.4, "neutral": 0.2})]
    assert score.of("positive", written) == pytest.approx(0.8)


def test_a_score_is_a_probability():
    assert score.of("negative", [Token("negative", 5.0, [("positive", float("-inf"))])]) == 1.0
