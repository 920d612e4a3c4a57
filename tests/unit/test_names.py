import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace import names
from millrace.errors import ConfigError


@pytest.mark.parametrize(
    ("raw", "counted"),
    [("#News", "news"), ("ＮＥＷＳ", "news"), ("＃news", "news"), ("##news", "news"), ("STRASSE", "strasse"),
     ("straße", "strasse"), ("cafe\u0301", "café"), ("猫", "猫"), ("#", ""), ("  ", ""), ("x" * 400, "x" * 300)],
)  # fmt: skip
def test_normalise_hashtag(raw, counted):
    assert names.normalise_hashtag(raw) == counted


@given(st.text())
def test_normalising_twice_changes_nothing(raw):
    once = names.normalise_hashtag(raw)
    assert names.normalise_hashtag(once) == once


def test_a_hashtag_counts_once_a_post():
    assert names.normalise_hashtags(["News", "#news", "", "cat"]) == ["news", "cat"]


@pytest.mark.parametrize("name", ["", "1a", "A", "a-b", "a; DROP TABLE t", "a" * 64, "é", "a\n"])
def test_identifier_refuses(name):
    with pytest.raises(ConfigError):
        names.identifier(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "x" * 250, "t\n", "`t`"])
def test_topic_name_refuses(name):
    with pytest.raises(ConfigError):
        names.topic_name(name)
    assert names.topic_name("Mastodon_stream-1.x") == "Mastodon_stream-1.x"
