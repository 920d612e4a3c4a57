"""Enrichment keeps every row, and says which had no match."""

import re
from inspect import getdoc

from millrace.queries.enrich import enrich


def test_rows_without_a_match_stay_and_are_told(spark):
    rows = spark.createDataFrame([("Finland", 3), ("Nowhere", 1), (None, 2)], "country string, posts int")
    codes = spark.createDataFrame([("Finland", "FI"), ("Japan", "JP"), (None, "??")], "country string, iso string")
    found = enrich(rows, codes, "country")
    assert found.columns == ["country", "posts", "iso", "matched"]
    assert sorted(map(tuple, found.collect()), key=str) == [
        ("Finland", 3, "FI", True), ("Nowhere", 1, None, False), (None, 2, None, False),
    ]  # fmt: skip


def test_by_several_columns(spark):
    rows = spark.createDataFrame([("a", 1, "x"), ("a", 2, "y")], "k string, n int, v string")
    table = spark.createDataFrame([("a", 2, "found")], "k string, n int, w string")
    assert sorted(map(tuple, enrich(rows, table, ("k", "n")).collect())) == [
        ("a", 1, "x", None, False), ("a", 2, "y", "found", True),
    ]  # fmt: skip


def test_a_stream_is_enriched(spark, tmp_path):
    spark.createDataFrame([("a",), ("b",)], "k string").write.parquet(str(tmp_path / "in"))
    table = spark.createDataFrame([("a", 1)], "k string, n int")
    found = []
    query = (
        enrich(spark.readStream.schema("k string").parquet(str(tmp_path / "in")), table, "k").writeStream
        .trigger(availableNow=True).option("checkpointLocation", str(tmp_path / "c"))
        .foreachBatch(lambda batch, _: found.extend(map(tuple, batch.collect()))).start()
    )  # fmt: skip
    assert query.awaitTermination(60) and sorted(found) == [("a", 1, True), ("b", None, False)]


def test_the_example_in_its_description_runs(spark):
    lines = re.findall(r"^    (.*)$", getdoc(enrich), re.MULTILINE)
    rows = spark.createDataFrame([("Japan", 7)], "country string, posts int")
    known = {"spark": spark, "enrich": enrich, "posts_by_country": rows}
    exec(lines[0], known)
    assert list(eval(lines[1], known).collect()[0]) == ["Japan", 7, "JP", True]
