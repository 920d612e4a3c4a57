"""The job that copies tables of PostgreSQL into ClickHouse row for row, from the changes that Debezium captured."""

from argparse import ArgumentParser, ArgumentTypeError
from functools import partial

from millrace.applications import outputs
from millrace.applications.job import Application, Job
from millrace.cdc import connector, source
from millrace.cdc.catalog import connect
from millrace.cdc.follow import Choice, Following
from millrace.cdc.merge import merge
from millrace.errors import ConfigError
from millrace.kafka import letters, read
from millrace.kafka.avro_rows import as_json
from millrace.kafka.changes import changes
from millrace.kafka.topics import DEAD_LETTERS, KEEP_FOREVER, Topic
from millrace.sinks.kafka import publish
from millrace.spark.options import Options
from millrace.spark.stop import STOP
from millrace.spark.supervisor import Flow

SINK = "clickhouse"


def _arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    text = "the tables to copy, such as public.orders,public.customers"
    add("--tables", required=True, type=_tables, metavar="SCHEMA.TABLE,...", help=text)
    add("--prefix", default=connector.PREFIX, help="of their topics, PREFIX.SCHEMA.TABLE (default %(default)s)")
    text = "the key of a table that has no primary key: unique columns that are NOT NULL; repeatable"
    add("--key", action="append", type=_key, default=[], metavar="SCHEMA.TABLE=COLUMN,...", help=text)
    text = "keep this column as text: its type has values that none of ClickHouse holds; repeatable"
    add("--as-text", action="append", default=[], metavar="SCHEMA.TABLE.COLUMN", help=text)
    text = "of the records; avro wants MILLRACE_REGISTRY_URL, and topics that hold nothing else (default %(default)s)"
    add("--encoding", choices=("json", "avro"), default="json", help=text)
    add("--without", action="append", default=[], metavar="SCHEMA.TABLE.COLUMN", help="leave this out; repeatable")


def _tables(text: str) -> list[str]:
    try:
        return connector.named(text)
    except ConfigError as error:
        raise ArgumentTypeError(str(error)) from None


def _key(text: str) -> tuple[str, list[str]]:
    table, _, columns = text.partition("=")
    if not columns or any(not each.strip() for each in columns.split(",")):
        raise ArgumentTypeError(f"{text!r} is no key such as public.orders=shop,number")
    return _tables(table)[0], [each.strip() for each in columns.split(",")]


def check(options: Options) -> None:
    """Raise ConfigError for options that do not go with tables, and let --topic name those of the tables."""
    args = options.args
    if args.sink != [SINK]:
        raise ConfigError(f"cdc copies tables into ClickHouse: --sink {SINK} alone")
    if args.from_archive or args.overwrite or args.deduplicate or args.start != "earliest":
        raise ConfigError("cdc reads all changes: without --from latest, --from-archive, --overwrite, --deduplicate")
    args.topic = [connector.topic(each, args.prefix) for each in args.tables]


def _choice(options: Options) -> Choice:
    args = options.args
    return Choice(tuple(args.tables), dict(args.key), frozenset(args.as_text), frozenset(args.without))


def _flows(application: Application, options: Options) -> list[Flow]:
    if (url := options.settings.cdc_source) is None:
        raise ConfigError("MILLRACE_CDC_SOURCE_URL is not set: the PostgreSQL to copy from (`millrace up postgres`)")
    following = Following(connect(url), options.settings.store_url(SINK), _choice(options))
    target = outputs.target(options)
    if target.prepare:
        args = options.args
        refuse = partial(source.refuse, url, args.tables, dict(args.key), avro=args.encoding == "avro")
        target.patience.attempt(refuse)
        target.patience.attempt(following.begin)
        config = {**KEEP_FOREVER, "max.message.bytes": str(connector.LARGEST)}  # as Kafka Connect makes them
        target.create([DEAD_LETTERS, *(Topic(each, "the table's", "Debezium", config) for each in options.topics)])
        read.wait_for_topics(options.bootstrap, options.topics, STOP.wait)
    records = read.stream(
        application.spark, options.bootstrap, options.topics, "earliest", options.args.max_offsets, headers=True
    )  # fmt: skip
    if options.args.encoding == "avro":
        records = as_json(records, _registry(options))
    refused = publish(DEAD_LETTERS, letters.KEY, options.bootstrap)
    writer = merge(following.target, following.inserts, refused=refused, settle=following.settle)
    return [Flow(options, changes(records), writer, sums=False)]


def _registry(options: Options) -> str:
    if (url := options.settings.registry_url) is None:
        raise ConfigError("MILLRACE_REGISTRY_URL is not set: where the schemas of Avro are (`millrace up registry`)")
    return url


CDC = Job("cdc", "tables of PostgreSQL in ClickHouse, row for row", _flows, _arguments, (SINK,), check=check)
