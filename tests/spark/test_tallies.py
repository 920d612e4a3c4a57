"""Languages, authors and plain counts: each against the story's own answer, as rows, as a fold, as a stream."""

from collections import Counter
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.social import Story
from tests.spark.conftest import RECORDS

from millrace import names
from millrace.kafka import parse
from millrace.queries import authors, counts, languages, text

ANALYSES = {
    "language": (languages, languages.language_counts, 60),
    "author": (authors, authors.author_counts, 60),
    None: (counts, counts.post_counts, 10),
}
each = pytest.mark.parametrize("name", ANALYSES, ids=str)
COLUMNS = ("source", "event_time", "operation", "language", "author", "event_id")


def found(rows, name):
    named = [name] if name else []
    listed = {(row.window_start.astimezone(UTC), *(row[key] for key in named)): row.posts for row in rows}
    assert all(row.source == "mastodon" for row in rows)
    assert len(listed) == len(rows)
    return Counter(listed)


@each
def test_rows_and_fold_count_what_is_right(spark, name):
    module, analysis, length = ANALYSES[name]
    story = Story(seed=5)
    records = spark.createDataFrame(story.records(story.disturbed()), RECORDS)
    once = spark.createDataFrame(story.records(), RECORDS)
    counted = analysis(parse.posts(once, COLUMNS))
    assert counted.columns == ["source", "window_start", "window_end", *([name] if name else []), "posts"]
    assert found(counted.collect(), name) == story.counts(name, length)
    folded = module.count(parse.folded(records, module.fold()))
    assert Counter(map(tuple, folded.collect())) == Counter(map(tuple, analysis(parse.posts(records)).collect()))
    assert sum(found(folded.collect(), name).values()) > sum(story.counts(name).values())  # repeats are counted


@each
@pytest.mark.parametrize(("window", "slide"), [("5 minutes", "1 minute"), ("7 seconds", "3.5 seconds")])
def test_fold_equals_rows_in_sliding_windows(spark, name, window, slide):
    module, analysis, _ = ANALYSES[name]
    records = spark.createDataFrame(Story(seed=6, gap=0.377).records(), RECORDS)
    fast = module.count(parse.folded(records, module.fold(window, slide)), window, slide)
    plain = analysis(parse.posts(records, COLUMNS), window, slide)
    assert Counter(map(tuple, fast.collect())) == Counter(map(tuple, plain.collect()))


@each
def test_a_folded_stream(streamed, name):
    module, _, length = ANALYSES[name]
    story, table = Story(seed=7), Counter()

    def count(records):
        return module.count(parse.folded(records, module.fold()).withWatermark("event_time", "10 minutes"))

    streamed(story.records(), count, lambda batch: table.update(_changes(table, found(batch.collect(), name))))
    assert table == story.counts(name, length)


def _changes(table, rows):
    return {key: posts - table[key] for key, posts in rows.items()}


ODD = ["", " ", " en ", "x" * 80, "x" * 63 + " y", "日本語" * 30]


@pytest.mark.parametrize("name", ["language", "author"])
def test_odd_names_are_cut_alike(spark, name):
    module, analysis, _ = ANALYSES[name]
    story = Story(count=len(ODD), seed=1)
    posts = [post | {"operation": "create", "author": {"id": odd * 5 if odd.strip() else odd}, "language": odd}
             for post, odd in zip(story.events, ODD, strict=True)]  # fmt: skip
    records = spark.createDataFrame(story.records(posts), RECORDS)
    fast = module.count(parse.folded(records, module.fold()))
    plain = analysis(parse.posts(records, COLUMNS)).collect()
    assert Counter(map(tuple, fast.collect())) == Counter(map(tuple, plain))
    assert all(row[name] == row[name].strip(" ") and 0 < len(row[name]) <= module.LENGTH for row in plain)


TAGS = ["en", "EN_us", "en-US", "", "und", "und-Latn", " en ", "zh_hant_TW", "sr-latn", "x-mine", "en-x-us", "e",
        "english", "en-", "en\n", "e\u0130", "\u212aa", "日本", "de-1996", "x" * 80,
        "en-US-" + "x" * 60, "a-DE-", None]  # fmt: skip


@pytest.mark.parametrize("regions", [False, True])
def test_languages_are_counted_alike_however_they_are_written(spark, regions):
    story = Story(count=len(TAGS), seed=1)
    posts = [post | {"operation": "create", "language": tag} for post, tag in zip(story.events, TAGS, strict=True)]
    records = spark.createDataFrame(story.records(posts), RECORDS)
    fast = languages.count(parse.folded(records, languages.fold(regions=regions)))
    plain = languages.language_counts(parse.posts(records, COLUMNS), regions=regions)
    assert Counter(map(tuple, fast.collect())) == Counter(map(tuple, plain.collect()))
    tags = Counter(names.language_tag(tag) or "und" for tag in TAGS)
    right = tags if regions else Counter(name.partition("-")[0] for name in tags.elements())
    assert Counter({row.language: row.posts for row in plain.collect()}) == right


@given(st.lists(st.from_regex(r"[a-zA-Z]{1,5}([-_][a-zA-Z0-9]{1,5}){0,4}", fullmatch=True), min_size=50, max_size=50))
@settings(max_examples=5, deadline=None)
def test_spark_writes_tags_as_python_does(spark, tags):
    rows = spark.createDataFrame([(tag,) for tag in tags], "tag STRING")
    found = [row[0] for row in rows.select(text.language_tag("tag")).collect()]
    assert found == [names.language_tag(tag) for tag in tags]
