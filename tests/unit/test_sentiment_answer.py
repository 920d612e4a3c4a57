"""Each rule by which an answer becomes a label, or a reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.sentiment.answer import SHOWN, NoLabel, label, shown
from millrace.sentiment.labels import LABELS
from millrace.sentiment.prompt import INSTRUCTION

POSITIVE = '{"sentiment": "positive"}'
LABEL = {
    "object": POSITIVE,
    "object over lines": '\n{\n  "sentiment":\t"positive"\n}\n',
    "other fields are not read": '{"score": 0.1, "sentiment": "positive", "reason": "negative"}',
    "alone": "positive",
    "case": "POSITIVE",
    "blanks": "  positive\n",
    "full stop": "positive.",
    "full stop and blanks": " Positive .\n",
    "within the object": '{"sentiment": " Positive. "}',
    "fence": f"```json\n{POSITIVE}\n```",
    "fence in capitals": f"```JSON\n{POSITIVE}\n```\n",
    "fence without a word": f"```\n{POSITIVE}\n```",
    "fence in a line": "```positive```",
    "thought": f"<think>negative</think>{POSITIVE}",
    "thought without its beginning": f"so it is negative\n</think>\n\n{POSITIVE}",
    "thought of several parts": f"<think>a</think>neutral<think>b</think>{POSITIVE}",
    "thought in capitals": f"<THINK>a</Think>{POSITIVE}",
    "thought and fence": f"<think>a</think>\n```json\n{POSITIVE}\n```",
    "thought with letters that grow in lower case": f"İİİ<think>İ</think>{POSITIVE}",
    "the same label twice": '{"sentiment": "positive", "sentiment": "Positive"}',
}
NONE = {
    "nothing": "",
    "blanks alone": " \n",
    "a full stop alone": ".",
    "empty object": "{}",
    "other label": "mixed",
    "other label in an object": '{"sentiment": "mixed"}',
    "sentence": "The sentiment is positive.",
    "sentence around the object": f"Here you are: {POSITIVE}",
    "object and more": f"{POSITIVE} I hope that helps",
    "two objects": f"{POSITIVE}\n{POSITIVE}",
    "longer word": "positively",
    "word with an accent": "positivé",
    "long s": "poſitive",
    "zero-width blank": "posi\u200btive",
    "negated": "not positive",
    "two stops": "positive..",
    "other marks": "positive!",
    "quotation marks": '"positive"',
    "list": '["positive"]',
    "list in an object": '{"sentiment": ["positive"]}',
    "list of labels": "positive, negative",
    "nested": '{"answer": {"sentiment": "positive"}}',
    "object as the label": '{"sentiment": {"sentiment": "positive"}}',
    "other name": '{"label": "positive"}',
    "name in capitals": '{"Sentiment": "positive"}',
    "different labels": '{"sentiment": "positive", "sentiment": "negative"}',
    "a label and none": '{"sentiment": "positive", "sentiment": null}',
    "number": '{"sentiment": 1}',
    "null": '{"sentiment": null}',
    "half an object": '{"sentiment": "posit',
    "thought that does not end": f"<think>{POSITIVE}",
    "thought that begins after the label": f"{POSITIVE}<think>or",
    "label in the thought": "<think>positive</think>",
    "label before the end of a thought": "positive</think>",
    "two fences": "```positive``````positive```",
    "fence within text": "So:\n```\npositive\n```",
    "page": "<!DOCTYPE html><html><body>positive</body></html>",
    "deeply nested": '{"sentiment":' + "[" * 100_000,
}


@pytest.mark.parametrize("case", list(LABEL))
def test_an_answer_is_a_label(case):
    assert label(LABEL[case]) == "positive"


@pytest.mark.parametrize("case", list(NONE))
def test_an_answer_is_none(case):
    with pytest.raises(NoLabel, match="no label: "):
        label(NONE[case])


@pytest.mark.parametrize("content", ["", None, "  ", "<think>negative</think>"])
def test_thoughts_are_read_where_content_is_empty(content):
    assert label(content, POSITIVE) == "positive"
    assert label(content, f"It is negative?\n</think>{POSITIVE}") == "positive"
    with pytest.raises(NoLabel):
        label(content, "It is positive.")


def test_thoughts_are_not_read_beside_content():
    assert label("negative", POSITIVE) == "negative"
    with pytest.raises(NoLabel):
        label("mixed", POSITIVE)


@given(st.text(), st.sampled_from(LABELS), st.text())
def test_no_label_is_found_within_something_longer(before, found, after):
    text = f"{before}{found}{after}"
    if text.strip().removesuffix(".").strip().lower() in LABELS:
        return
    try:
        taken = label(text)
    except NoLabel:
        return
    assert "```" in text or "</think>" in text.lower()
    assert taken == found


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("sentiment"), inner),
)


@given(st.text() | VALUES.map(json.dumps))
def test_any_answer_gives_a_label_or_a_short_line(text):
    try:
        assert label(text, text) in LABELS
    except NoLabel as error:
        reason = str(error)
        assert len(reason) <= SHOWN + 30 and "\n" not in reason and reason.encode()


def test_a_reason_quotes_a_line_and_never_the_instruction():
    assert shown("a\n\n b\x1b[31m\u202e") == "a b\\x1b[31m\\u202e"
    assert len(shown("word " * 1_000)) == SHOWN
    assert INSTRUCTION[:20] not in shown(f"You said: {INSTRUCTION}")
    assert shown(f"You said: {INSTRUCTION}").startswith("You said:")
    assert shown("\ud83d").encode()
