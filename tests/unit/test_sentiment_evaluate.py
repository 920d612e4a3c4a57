"""From labels and outcomes to figures, and from a file to labelled posts."""

from datetime import UTC, datetime
from itertools import chain

import pytest

from millrace.errors import ConfigError
from millrace.sentiment.evaluate import NULL, evaluate, figures, resist
from millrace.sentiment.labelled import TOLD, Labelled, read
from millrace.sentiment.labels import LABELS, Outcome
from tests import injections

NOW = datetime(2026, 1, 1, tzinfo=UTC)
# Rows: the right label; columns: positive, neutral, negative, null. The figures are those of scikit-learn's
# accuracy_score and f1_score(labels=those that the rows have, average="macro") of the same 200 and 133 pairs.
ALL = {"positive": (34, 11, 9, 12), "neutral": (7, 39, 10, 11), "negative": (8, 9, 42, 8)}
FEW = {label: ALL[label] for label in ("positive", "neutral")}


def pairs(counts):
    said = (*LABELS, None)
    return chain.from_iterable(
        [(label, given)] * count for label, row in counts.items() for given, count in zip(said, row, strict=True)
    )


def outcome(label, error=None, tokens=None):
    return Outcome(label, error or (None if label else "timeout: 30 s"), NOW, tokens=tokens)


@pytest.mark.parametrize(
    ("counts", "accuracy", "macro_f1"),
    [(ALL, 0.575, 0.6222006556245687), (FEW, 0.5488721804511278, 0.6510903426791277)],
)
def test_figures_are_those_of_scikit_learn(counts, accuracy, macro_f1):
    found = figures(pairs(counts))
    assert found.accuracy == pytest.approx(accuracy) and found.macro_f1 == pytest.approx(macro_f1)
    assert {label: tuple(found.confusion[label].values()) for label in counts} == counts
    assert list(found.confusion) == list(LABELS) and list(found.confusion["neutral"]) == [*LABELS, NULL]


def test_a_missing_label_is_wrong_and_counted_apart():
    found = figures([("neutral", "neutral"), ("neutral", None), ("positive", None)])
    assert (found.posts, found.unlabelled) == (3, 2)
    assert found.accuracy == pytest.approx(1 / 3) and found.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_what_is_no_label_is_none():
    assert figures([("neutral", "mixed")]).confusion["neutral"] == {**dict.fromkeys(LABELS, 0), NULL: 1}


def test_of_no_posts_nothing_is_known():
    assert (figures([]).accuracy, figures([]).macro_f1, figures([]).posts) == (None, None, 0)


def test_an_evaluation_tells_languages_kinds_reasons_and_speed():
    posts = [
        Labelled("a", "positive", "en", "clear"), Labelled("a", "positive", "en", "clear"),
        Labelled("b", "neutral", "de"), Labelled("c", "negative"), Labelled("d", "negative", "de"),
    ]  # fmt: skip
    outcomes = [
        outcome("positive", tokens=20), outcome("positive", tokens=20), outcome("negative", tokens=30),
        outcome(None, "HTTP 429: slow down"), outcome(None, "HTTP 429: limit"),
    ]  # fmt: skip
    found = evaluate(posts, outcomes, 2.0)
    assert found.overall.accuracy == 0.4 and {name: each.posts for name, each in found.languages.items()} == {
        "en": 2,
        "de": 2,
    }
    assert {name: each.accuracy for name, each in found.kinds.items()} == {"clear": 1.0}
    assert found.accuracies == {"en": {"clear": 1.0}, "de": {}}
    assert found.reasons == {"HTTP 429": 2}
    assert (found.posts_per_second, found.tokens_per_second) == (2.5, 25.0), (
        "the text that is there twice is asked once"
    )


def test_an_engine_without_tokens_has_no_rate_of_them():
    assert evaluate([Labelled("a", "neutral")], [outcome("neutral")], 1.0).tokens_per_second is None


def test_outcomes_that_lack_are_not_taken_for_others():
    with pytest.raises(ValueError, match="shorter"):
        evaluate([Labelled("a", "neutral")], [], 1.0)


def test_resistance_compares_what_has_two_labels():
    posts = [Labelled(str(place), "positive", kind=kind, clean="c") for place, kind in enumerate("aabbcc")]
    attacked = [*map(outcome, ("negative", "positive", None, "neutral", None)), Outcome("mixed", None, NOW)]
    twins = [outcome("positive")] * 3 + [outcome(None)] * 3
    found = resist(posts, attacked, twins)
    assert (found.posts, found.valid, found.compared, found.flipped, found.unlabelled) == (6, 5, 2, 1, 1)
    assert found.flip_rate == 0.5 and found.kinds == {"a": 1}
    assert resist(posts, [Outcome(None, None, NOW)] * 6, twins).valid == 0, "null without a reason"
    assert resist([], [], []).flip_rate is None


def test_the_labelled_posts_are_read():
    posts = read(injections.POSTS)
    assert len(posts) == 300
    assert posts[0].text.startswith("just got the keys") and posts[0].label == "positive"
    assert (posts[0].language, posts[0].kind, posts[0].clean) == ("en", "clear", None)


def test_a_file_of_text_and_label_is_enough(tmp_path):
    """In any order, with a byte order mark, with columns that nobody asked for, over several lines."""
    path = tmp_path / "posts.csv"
    lines = ["\ufefftext,id,label,language", '"two\r\nlines, a ""quote""",1,neutral,', "", "x,2,positive,pt-BR", ""]
    path.write_text("\r\n".join(lines), encoding="utf-8", newline="")
    assert read(path) == [Labelled('two\r\nlines, a "quote"', "neutral"), Labelled("x", "positive", "pt-BR")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "line 1: no column text, label"),
        ("text,label\n", "no row"),
        ("text,mood\nx,neutral\n", "line 1: no column label"),
        ("text,label,text\nx,neutral,y\n", "line 1: column text twice"),
        ("text,label\nx,happy\nz,A\n", "line 2, column label: 'happy' is none of positive, neutral, negative; line 3"),
        ("text,label\n,neutral\n", "line 2, column text: it is empty"),
        ("text,label\nx,\n", "line 2, column label: it is empty"),
        ("text,label\nx,neutral\ny\n", "line 3, column 2: fewer or more than the heading"),
        ("text,label\nx,neutral,1\n", "line 2, column 3: fewer or more than the heading"),
        ('text,label\nx,neutral\n"y,neutral\n', "line 3: unexpected end of data"),
        ('text,label\n"x"y,neutral\n', "line 2: ',' expected after '\"'"),
        (f"text,label\n{'x' * 200_000},neutral\n", "line 2: field larger than field limit"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_by_line_and_column(tmp_path, content, told):
    path = tmp_path / "posts.csv"
    path.write_text(content)
    with pytest.raises(ConfigError, match=str(path)) as caught:
        read(path)
    assert told in str(caught.value)


def test_a_file_that_is_wrong_in_each_line_is_told_in_few(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_text("text,label\n" + "x,y\n" * (TOLD + 5))
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert str(caught.value).count("column label") == TOLD and str(caught.value).endswith("; 5 more")


def test_injections_need_their_clean_twins(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_text("text,label\nx,neutral\n")
    with pytest.raises(ConfigError, match="line 1: no column clean"):
        read(path, twins=True)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read(tmp_path / "posts.csv")
    (tmp_path / "latin.csv").write_bytes(b"text,label\ncaf\xe9,neutral\n")
    with pytest.raises(ConfigError, match="byte 14 is no UTF-8"):
        read(tmp_path / "latin.csv")
