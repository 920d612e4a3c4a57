"""Choosing an engine says what is wrong and what to do."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from millrace.errors import ConfigError
from millrace.sentiment.engine import ENGINES, choose, labeller


def test_usual_models_and_addresses():
    assert (choose("ollama").model, choose("ollama").url) == ("deepseek-r1:1.5b", "http://127.0.0.1:11434")
    assert choose("openai", "m", "https://models.example/v1").url == "https://models.example/v1"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("gpt",), "there are ollama, openai, vader"),
        (("vader", "deepseek-r1:1.5b"), "vader takes neither --model nor --base-url: --engine ollama or openai does"),
        (("vader", None, "http://127.0.0.1:1"), "vader takes neither"),
        (("openai", None, "http://127.0.0.1:8000/v1"), "--model"),
        (("openai", "m"), "--base-url http"),
        (("openai",), "--model.*--base-url"),
        (("ollama", "m", "127.0.0.1:11434"), "--base-url must be"),
        (("ollama", "m", "http://user:word@127.0.0.1"), "--base-url must be"),
    ],
)
def test_what_is_wrong_is_said(options, said):
    with pytest.raises(ConfigError, match=said) as raised:
        choose(*options)
    assert "word@" not in str(raised.value)


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel"])
def test_a_key_that_no_header_can_hold(key):
    spec = replace(choose("ollama"), key=SecretStr(key))
    with pytest.raises(ConfigError, match="key") as raised:
        labeller(spec)
    assert key not in str(raised.value)


def test_one_labeller_a_process():
    assert labeller(choose("vader")) is labeller(choose("vader"))
    assert ENGINES.keys() == {"ollama", "openai", "vader"} and not ENGINES["vader"].remote
