"""The job that labels posts with their sentiment, by a language model or a lexicon."""

from argparse import ArgumentParser, Namespace

from pyspark.sql import DataFrame, SparkSession

from millrace.applications import inputs, outputs
from millrace.applications.job import Application, Job
from millrace.durations import seconds
from millrace.errors import ConfigError
from millrace.kafka.results import SENTIMENT as RESULTS
from millrace.queries import sentiment
from millrace.sentiment.choice import choice
from millrace.sentiment.counting import Counted
from millrace.sentiment.engine import ENGINES
from millrace.sentiment.frames import COUNTED, Labelled
from millrace.sentiment.labelling import Labelling
from millrace.sentiment.spec import Spec
from millrace.sinks.together import Direct, Writer
from millrace.spark.arguments import count, length_of_time
from millrace.spark.options import Options, lateness
from millrace.spark.supervisor import Flow

ROUNDS = 80  # times the concurrency are the questions of a micro-batch: with fewer, its beginning and end would be felt
AT_ONCE_OF_MANY = 20_000  # records of a micro-batch of which most cost no question


def _arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--engine", choices=list(ENGINES), default="vader", help="what labels (default %(default)s: English alone)")
    add("--model", metavar="NAME", help="of the engine (default with ollama: deepseek-r1:1.5b)")
    text = "where the model is served (default MILLRACE_OLLAMA_URL or MILLRACE_OPENAI_URL)"
    add("--base-url", "--baseURL", dest="base_url", metavar="URL", help=text)
    text = "questions at once, of each task (default %(default)s)"
    add("--concurrency", type=count, default=Spec.concurrency, metavar="N", help=text)
    text = "of one question (default 30s); after it the post has no label"
    add("--timeout", type=length_of_time, default="30 seconds", metavar="30s", help=text)
    text = "of a post that are asked about (default %(default)s)"
    add("--max-characters", type=count, default=Spec.characters, metavar="N", help=text)
    text = (
        "lag: every post is asked about, however late; sample: as many as fit into 30 s a batch (default %(default)s)"
    )
    add("--on-overload", choices=("lag", "sample"), default="lag", help=text)
    text = "posts that are asked about in an hour at most; of the others `error` tells it"
    add("--max-posts-per-hour", type=count, metavar="N", help=text)
    lateness(parser)


def at_once(concurrency: int) -> int:
    """Return how many records a micro-batch has of which each is a question, `concurrency` of a task at once."""
    return ROUNDS * concurrency


def _max_offsets(args: Namespace) -> int:
    lagging = ENGINES[args.engine].remote and args.on_overload == "lag"
    return at_once(args.concurrency) if lagging else AT_ONCE_OF_MANY


def check(options: Options) -> None:
    """Raise ConfigError for an engine without a model or an address, or a topic that is of no source."""
    _spec(options)


def _spec(options: Options) -> Spec:
    args = options.args
    return choice(
        options.settings, args.engine, args.model, args.base_url, concurrency=args.concurrency,
        timeout=seconds(args.timeout), characters=args.max_characters,
    )  # fmt: skip


def _flows(application: Application, options: Options) -> list[Flow]:
    posts = inputs.posts(inputs.records(application.spark, options), options, sentiment.COLUMNS)
    return [Flow(options, sentiment.editions(posts), _labelled(options, application.spark))]


def _labelled(options: Options, spark: SparkSession) -> Writer:
    """Return the writer of posts, which labels each micro-batch: once, however many sinks there are."""
    args, inner = options.args, outputs.writer(options, RESULTS[options.args.source])
    if isinstance(inner, Direct):
        raise ConfigError("sentiment does not go with --realtime")
    if args.dry_run:
        return inner
    labelling = Labelling(_spec(options), options.settings.clickhouse)
    counted = Counted(options.name, labelling, args.on_overload == "sample", args.max_posts_per_hour)
    tasks = spark.sparkContext.defaultParallelism

    def write(batch: DataFrame, batch_id: int) -> None:
        label = Labelled(labelling, counted.budget(), tasks)
        labelled = label.of(batch).persist()
        try:
            counted.count(labelled)
            inner(labelled.drop(*COUNTED), batch_id)
        finally:
            labelled.unpersist()

    return write


SENTIMENT = Job(
    "sentiment", "what each post feels like, by a language model or a lexicon", _flows, _arguments, ("clickhouse",),
    source="mastodon", max_offsets=_max_offsets, check=check,
)  # fmt: skip
