"""Posts a second through a language model and the lexicon, as shares of what their servers and libraries could do.

The labelling of a micro-batch runs on Spark as in the job, against a double in a process of its own that takes 200 ms
an answer, so that nothing but ours can be what is slow. A real Ollama answers with the model of the tests; where
`make ollama` has not built it, that line says `not tried`.
"""

import asyncio
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count

import httpx
import ollama
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests import tiny_model
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from benchmarks import mill
from benchmarks.report import Figure, number, ratio
from benchmarks.turns import GOAL, compare, timed
from millrace import config, explore, stack
from millrace.applications.sentiment import at_once
from millrace.config import Settings
from millrace.errors import ConfigError, Unavailable
from millrace.sentiment import prompt
from millrace.sentiment.cache import text_hash
from millrace.sentiment.choice import choice
from millrace.sentiment.engine import labeller
from millrace.sentiment.frames import Frames, Labelled
from millrace.sentiment.labelling import Labelling
from millrace.sentiment.labels import Outcome, Text

NAME = "sentiment"
LATENCY = 0.2  # seconds of an answer
NAIVE = 20  # posts of each task that are asked about one by one
CONCURRENCY = (8, 32)
SMALL = 20  # micro-batches before it is measured, in which everybody asks once
HIT = 1.0  # milliseconds of a row at most
SEVERAL = 8  # questions at once to the real server
POSTS = (  # of the length that people write
    "The train was late again, nobody at the counter knew why, and the next one was so full that I walked home.",
    "What a good day! We found the little bakery that my grandmother told us of, and it is as lovely as she said :)",
    "The council meets on Tuesday at nine to talk about the new bicycle lanes; the plans are on the town's website.",
    "Thanks to everyone who wrote after the release. I read every line, and the bug in the importer is mended now!",
)
_number = count()


def measure(rounds: int, posts: int, hits: int) -> Iterator[Figure]:
    """Yield posts/s of a batch beside the ideal, of a real server beside a plain client, and of VADER; a hit's time.

    `rounds` of each, `posts` of the real server, `hits` of the cache; of VADER three times the rounds, twice the posts.
    """
    with mill.servers("clickhouse") as settings:
        with _double(settings) as address, _session() as spark:
            yield from step(spark, settings, address, rounds)
        yield hit(settings, hits)
        yield beside(settings, posts, rounds)
    yield vader(2 * posts, 3 * rounds)  # short ones: noise comes and goes within seconds


def texts(size: int) -> list[str]:
    """Return texts that nobody was asked about before."""
    return [f"{POSTS[place % len(POSTS)]} {next(_number)}" for place in range(size)]


def ideal(tasks: int, concurrency: int) -> float:
    """Return the posts/s of a server that answers every question after LATENCY."""
    return tasks * concurrency / LATENCY


def step(spark: SparkSession, settings: Settings, address: str, rounds: int) -> Iterator[Figure]:
    """Yield posts/s of a micro-batch as large as the job's, of distinct texts that the cache does not hold.

    SMALL ones come before, so that Java is as warm as in a job that runs for hours.
    """
    tasks = spark.sparkContext.defaultParallelism
    batch, alone = _batch(spark, NAIVE * tasks, tasks), _naive(address)
    _run(batch.mapInPandas(alone, "label string"))  # starts Spark's workers
    naive = ratio(NAIVE * tasks, timed(lambda: _run(batch.mapInPandas(alone, "label string"))))
    yield Figure(
        NAME, "labelling, one by one", naive, "posts/s", note=f"{tasks} tasks, {LATENCY * 1000:.0f} ms an answer"
    )
    for concurrency in CONCURRENCY:
        spec = choice(settings, "ollama", "double", address, concurrency=concurrency)
        labelling = Labelling(spec, settings.clickhouse)
        labelling.cache().create()
        size, label = at_once(concurrency), Labelled(labelling, tasks=tasks)
        for _ in range(SMALL):
            _labelled(spark, label, tasks * concurrency)
        taken = [_labelled(spark, label, size) for _ in range(rounds)]
        pace, goal = ratio(size * rounds, sum(taken)), ideal(tasks, concurrency)
        share = ratio(pace, goal)
        note = f"{share:.0%} of {number(goal)}; {ratio(pace, naive):.1f} x one by one; batches of {size:,}"
        met = share >= GOAL
        yield Figure(NAME, f"labelling, {concurrency} at once a task", pace, "posts/s", f">= {GOAL:.0%}", met, note)


def _labelled(spark: SparkSession, label: Labelled, size: int) -> float:
    """Return the seconds that a micro-batch of `size` new texts takes."""
    rows = _batch(spark, size, label.tasks)
    taken = timed(lambda: _run(label.of(rows)))
    rows.unpersist()
    return taken


def hit(settings: Settings, rows: int) -> Figure:
    """Return the milliseconds of a row whose text was asked about before."""
    labelling = Labelling(choice(settings, "ollama", "double", "http://127.0.0.1:9"), settings.clickhouse)
    store, known = labelling.cache(), texts(rows)
    store.create()
    store.keep({text_hash(each): Outcome("positive", None, datetime.now(UTC), 0.9, 200, 50) for each in known})
    asked = [Text(each, "en") for each in known]
    taken = [timed(lambda: labelling.label(asked)) for _ in range(3)]
    each = 1000 * min(taken) / rows
    return Figure(NAME, f"a hit of the cache, {rows:,} rows", each, "ms", f"< {HIT:g}", each < HIT)


def beside(settings: Settings, size: int, rounds: int) -> Figure:
    """Return posts/s of the real server as a share of what a plain client gets of it, from the same texts in turn."""
    what = f"Ollama, {tiny_model.NAME}, {SEVERAL} at once"
    try:
        address = _ollama(settings)
    except (ConfigError, Unavailable) as error:
        return Figure(NAME, what, math.nan, "of bare", note=f"not tried: {error}")
    labels, asked = labeller(choice(settings, "ollama", tiny_model.NAME, address, concurrency=SEVERAL)), texts(size)
    ours: Callable[[], object] = lambda: labels.label([Text(each, "en") for each in asked])  # noqa: E731
    plain = lambda: asyncio.run(saturate(address, asked))  # noqa: E731
    return compare(NAME, what, size=size, unit="posts", sink=ours, client="httpx", bare=plain, rounds=rounds)


def _ollama(settings: Settings) -> str:
    """Return the address of a server with the tiny model; raises ConfigError and Unavailable where that cannot be."""
    tiny_model.modelfile()
    os.environ["OLLAMA_MODELS"] = str(settings.home / "models")  # not among the user's own; ends with `settings`
    stack.up(["ollama"], settings)
    address = config.load(home=settings.home).ollama_url
    tiny_model.load(address)
    return address


async def saturate(address: str, asked: list[str]) -> None:
    """Ask about each text by SEVERAL loops over one client of httpx, and read nothing of the answers."""
    left = iter(asked)

    async def work(client: httpx.AsyncClient) -> None:
        for text in left:
            answered = await client.post("/api/chat", json=question(text))
            answered.raise_for_status()

    async with httpx.AsyncClient(base_url=address, timeout=60, trust_env=False) as client:
        await asyncio.gather(*(work(client) for _ in range(SEVERAL)))


def question(text: str) -> dict[str, object]:
    """Return what the engine asks in a chat."""
    options = {"temperature": 0, "seed": 1, "num_predict": 64, "num_ctx": 4096}
    told = {
        "model": tiny_model.NAME,
        "stream": False,
        "tools": [],
        "think": False,
        "logprobs": True,
        "top_logprobs": 10,
        "options": options,
    }
    return told | {"messages": prompt.messages(text), "format": prompt.SCHEMA}


def vader(size: int, rounds: int) -> Figure:
    """Return posts/s of the lexicon, on one core, as a share of a bare loop of `polarity_scores`."""
    labels, analyzer = labeller(choice(config.load(), "vader")), SentimentIntensityAnalyzer()
    asked = texts(size)
    ours: Callable[[], object] = lambda: labels.label([Text(each, "en") for each in asked])  # noqa: E731
    bare = lambda: [analyzer.polarity_scores(each) for each in asked]  # noqa: E731
    return compare(
        NAME, "VADER, one core", size=size, unit="posts", sink=ours, client="a bare loop", bare=bare, rounds=rounds
    )


def _naive(address: str) -> Frames:
    """Return what asks about one text after another, as one would write it first."""

    def label(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        client = ollama.Client(address, trust_env=False)
        for frame in frames:
            asked = map(prompt.messages, frame["mastodon_text"])
            yield pd.DataFrame(
                {"label": [client.chat("double", each, format=prompt.SCHEMA).message.content for each in asked]}
            )

    return label


def _batch(spark: SparkSession, size: int, tasks: int) -> DataFrame:
    """Return a prepared micro-batch of `size` distinct texts."""
    rows = spark.createDataFrame([(n, each) for n, each in enumerate(texts(size))], "n bigint, mastodon_text string")
    nothing = {"created_at": "string", "username": "string", "bot": "boolean", "hashtags": "string"}
    made = rows.repartition(tasks).select(
        F.col("n").cast("decimal(20, 0)").alias("m_id"),
        F.concat(F.lit("https://a.example/"), "n").alias("post_id"),
        "mastodon_text",
        F.lit("en").alias("language"),
        F.current_timestamp().alias("event_time"),
        F.lit(0).cast("bigint").alias("revision"),
        *(F.lit(None).cast(kind).alias(name) for name, kind in nothing.items()),
    )
    made.persist().count()
    return made


def _run(rows: DataFrame) -> None:
    rows.write.format("noop").mode("overwrite").save()


@contextmanager
def _session() -> Iterator[SparkSession]:
    spark = explore.session()
    try:
        yield spark
    finally:
        spark.stop()


@contextmanager
def _double(settings: Settings) -> Iterator[str]:
    log = settings.home / "logs" / "llm.log"
    command = mill.millrace("simulate", "llm", "--port", 0, "--latency", f"{LATENCY * 1000:.0f}ms")
    with mill.process(command, log) as child:
        found = mill.wait_for(child, log, lambda: re.search(r"ready (http\S+)", log.read_text()))
        yield found[1]
