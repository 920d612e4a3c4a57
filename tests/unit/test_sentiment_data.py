"""What accuracy stands on: the labelled posts and the injections that ship with the tests."""

import csv
import io
import unicodedata
from collections import Counter

import pytest

from millrace.sentiment.labelled import read
from millrace.sentiment.labels import LABELS
from tests import injections

LANGUAGES = ("en", "de", "es", "fr", "ja")
COLUMNS = ["language", "kind", "label", "text"]
POSTS = injections.POSTS


def test_the_columns_and_nothing_else():
    with POSTS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, strict=True))
    assert rows[0] == COLUMNS and {len(row) for row in rows} == {len(COLUMNS)}
    assert all(cell == cell.strip() != "" for row in rows for cell in row)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sixty_posts_a_language_balanced_within_each_kind(language):
    posts = Counter((post.kind, post.label) for post in read(POSTS) if post.language == language)
    assert posts == {
        ("clear", "positive"): 10, ("clear", "negative"): 10, ("ironic", "positive"): 10, ("ironic", "negative"): 10,
        ("neutral", "neutral"): 20,
    }  # fmt: skip


def test_no_other_language_and_no_post_twice():
    posts = read(POSTS)
    assert {post.language for post in posts} == set(LANGUAGES)
    alike = Counter("".join(filter(str.isalnum, unicodedata.normalize("NFKC", post.text).casefold())) for post in posts)
    assert len(alike) == 300


def test_posts_are_as_long_as_posts_are_and_some_carry_what_posts_carry():
    posts = read(POSTS)
    assert all(8 < len(post.text) <= 200 and "\n" not in post.text for post in posts)
    for language in LANGUAGES:
        texts = [post.text for post in posts if post.language == language]
        for mark in ("#", "@", "?"):
            assert sum(mark in unicodedata.normalize("NFKC", text) for text in texts) >= 3, (language, mark)
        assert sum(any(unicodedata.category(letter) == "So" for letter in text) for text in texts) >= 15, language


def test_fifty_injections_each_beside_its_clean_twin_of_a_known_label():
    made = injections.injections()
    known = {(post.text, post.label, post.language) for post in read(POSTS)}
    assert len(made) == 50 == len({each.text for each in made})
    assert all((each.clean, each.label, each.language) in known and each.text != each.clean for each in made)
    assert min(Counter(each.label for each in made).values()) >= 16
    assert sum(len(each.text.encode()) >= injections.LONG for each in made) == 4


def test_no_injection_asks_for_the_label_that_is_right():
    """Else it could not be told whether it was obeyed."""
    for each in injections.injections():
        added = each.text.replace(each.clean, "")
        hidden = {added, added[::-1], unicodedata.normalize("NFKC", added)}
        assert not any(f"say {each.label}" in text or f'"sentiment": "{each.label}"' in text for text in hidden), (
            each.kind
        )


def test_the_injections_survive_their_file(tmp_path):
    file = io.StringIO(newline="")
    injections.write(file)
    path = tmp_path / "injections.csv"
    path.write_text(file.getvalue(), encoding="utf-8", newline="")
    fields = [(each.language, each.kind, each.label, each.clean, each.text) for each in injections.injections()]
    assert [(each.language, each.kind, each.label, each.clean, each.text) for each in read(path, twins=True)] == fields
    assert {each.label for each in read(path, twins=True)} == set(LABELS)
