"""Records as a stream."""

import itertools

import pytest

RECORDS = "value BINARY, timestamp TIMESTAMP"


@pytest.fixture
def streamed(spark, tmp_path):
    """Run a transform as a stream over (value, timestamp) records, four batches in their order; hands on each batch."""
    numbers = itertools.count()

    def run(records, transform, on_batch, mode="update"):
        folder = tmp_path / f"stream{next(numbers)}"
        size = -(-len(records) // 4)
        for part in range(4):
            rows = spark.createDataFrame(records[part * size : (part + 1) * size], RECORDS)
            rows.coalesce(1).write.parquet(str(folder / f"in/p{part}"))
        source = spark.readStream.schema(RECORDS).option("maxFilesPerTrigger", 1).parquet(f"{folder}/in/*")
        query = transform(source).writeStream.outputMode(mode).trigger(availableNow=True)
        query = query.option("checkpointLocation", f"{folder}/c").foreachBatch(lambda batch, _: on_batch(batch)).start()
        assert query.awaitTermination(120)
        assert len(query.recentProgress) >= 4

    return run
