import argparse
from datetime import UTC, datetime

import pytest

from millrace.errors import ConfigError
from millrace.spark import arguments, options


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def parse(*argv, **kwargs):
    return options.parse("hashtags", "doc", argv, **kwargs)


def test_defaults():
    parsed = parse()
    assert (parsed.topics, parsed.emit, parsed.args.sink) == (["bluesky-raw-posts"], "update", ["sqlite"])
    assert parsed.checkpoint.startswith(str(parsed.settings.home.resolve() / "checkpoints" / "hashtags-bluesky-"))


def test_kafka_alone_gets_final_rows():
    assert parse("--sink", "kafka").emit == "final"
    assert parse("--sink", "kafka", "--sink", "sqlite").emit == "update"
    assert parse("--sink", "kafka", "--emit", "update").emit == "update"


@pytest.mark.parametrize(
    "same", [["--once"], ["--trigger", "9s"], ["--from", "latest"], ["--name", "x"], ["--max-offsets", "9"]]
)
def test_what_leaves_the_state_alone_keeps_the_checkpoint(same):
    assert parse(*same).checkpoint == parse().checkpoint


@pytest.mark.parametrize("other", [["--topic", "t"], ["--deduplicate"], ["--emit", "final"], ["--sink", "console"]])
def test_what_shapes_the_state_gets_another_checkpoint(other):
    assert parse(*other).checkpoint != parse().checkpoint


def test_a_sink_without_address_is_refused_before_spark_starts():
    with pytest.raises(ConfigError, match="MILLRACE_MYSQL_URL"):
        parse("--sink", "mysql")


def test_elasticsearch_is_a_default_where_it_is_set(monkeypatch, capsys):
    usual = ["kafka", "elasticsearch"]
    assert parse(sinks=usual).args.sink == ["kafka"]
    assert capsys.readouterr().err.count("MILLRACE_ELASTICSEARCH_URL is not set") == 1
    with pytest.raises(ConfigError, match="MILLRACE_ELASTICSEARCH_URL"):
        parse("--sink", "elasticsearch")
    monkeypatch.setenv("MILLRACE_ELASTICSEARCH_URL", "http://u:one@h:9200")
    first = parse(sinks=usual)
    assert first.args.sink == usual and first.emit == "update"
    monkeypatch.setenv("MILLRACE_ELASTICSEARCH_URL", "http://u:two@h:9200")
    assert parse(sinks=usual).checkpoint == first.checkpoint
    monkeypatch.setenv("MILLRACE_ELASTICSEARCH_URL", "http://u:two@other:9200")
    assert parse(sinks=usual).checkpoint != first.checkpoint


@pytest.mark.parametrize("url", ["mongodb://u:{}@one:1,two:2/db?replicaSet=rs", "mongodb+srv://u:{}@one/?tls=true"])
def test_the_password_of_a_mongodb_of_several_hosts_may_change(url, monkeypatch):
    found = []
    for changed in (url.format("one"), url.format("two"), url.format("two").replace("@one", "@three")):
        monkeypatch.setenv("MILLRACE_MONGODB_URL", changed)
        found.append(parse("--sink", "mongodb").checkpoint)
    assert found[0] == found[1] != found[2]


def test_the_password_of_clickhouse_may_change_and_its_folder_may_not(monkeypatch):
    found = []
    for url in ("http://u:one@h/d", "http://u:two@h/d", "http://u:two@h/e", "chdb:///a%20b", "chdb:///a%20c"):
        monkeypatch.setenv("MILLRACE_CLICKHOUSE_URL", url)
        found.append(parse("--sink", "clickhouse").checkpoint)
    assert found[0] == found[1] and len(set(found)) == 4


def test_only_stores_that_keep_the_newest_are_overwritten():
    """It shapes what is written, so that the run has a place of its own and begins with the first record."""
    plain, right = parse(), parse("--overwrite", "2026-11-22T13:00+01:00")
    assert right.args.overwrite == datetime(2026, 11, 22, 12, tzinfo=UTC) and plain.args.overwrite is None
    assert right.checkpoint != plain.checkpoint
    assert parse("--overwrite", "2026-11-22").args.overwrite == datetime(2026, 11, 22, tzinfo=UTC)
    with pytest.raises(ConfigError, match="--overwrite: kafka, console cannot do that, sqlite and postgres and"):
        parse("--sink", "kafka", "--sink", "sqlite", "--sink", "console", "--overwrite", "2026-11-22")


@pytest.mark.parametrize("wrong", ["", "noon", "2026-13-01", "12:00"])
def test_no_times(wrong, capsys):
    with pytest.raises(SystemExit):
        parse("--overwrite", wrong)
    assert "is no time such as" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "spark"),
    [("5s", "5 seconds"), ("1m", "1 minutes"), ("0s", "0 seconds"), ("90s", "90 seconds"), ("1h", "60 minutes"),
     ("2.5s", "2.5 seconds"), ("1234567s", "1234567 seconds")],
)  # fmt: skip
def test_durations(text, spark):
    assert arguments.duration(text) == spark


@pytest.mark.parametrize("text", ["soon", "-1s", "", "NaT"])
def test_no_durations(text):
    with pytest.raises(argparse.ArgumentTypeError):
        arguments.duration(text)


@pytest.mark.parametrize(
    ("words", "named"), [(["--window", "0s"], "'0s' has no length"), (["--slide", "0m"], "'0m' has no length")]
)
def test_a_window_has_a_length(words, named, capsys):
    with pytest.raises(SystemExit):
        parse(*words, add=options.windows)
    assert named in capsys.readouterr().err


def test_no_post_falls_between_windows():
    assert parse("--window", "5m", "--slide", "300s", add=options.windows).args.slide == "5 minutes"
    with pytest.raises(ConfigError, match="--slide 6 minutes is longer than --window 5 minutes"):
        parse("--window", "5m", "--slide", "6m", add=options.windows)


def test_default_sinks_may_follow_from_other_options():
    def add(parser):
        parser.add_argument("--per-post", action="store_true")

    sinks = {"add": add, "sinks": lambda args: {False: ["sqlite"], True: ["kafka"]}[args.per_post]}
    assert parse(**sinks).args.sink == ["sqlite"]
    assert parse("--per-post", **sinks).args.sink == ["kafka"]
    assert parse("--per-post", "--sink", "console", **sinks).args.sink == ["console"]


def test_a_part_has_a_checkpoint_of_its_own():
    whole = parse("--checkpoint", "/c", "--name", "mine")
    assert (whole.part("windows").checkpoint, whole.part("windows").name) == ("/c-windows", "mine-windows")
    assert (whole.checkpoint, whole.name) == ("/c", "mine")
    assert parse().part("windows").checkpoint != parse().checkpoint


def test_weights_shape_the_checkpoint():
    assert parse(add=options.weights).args.reblogs == 2.0
    assert parse("--reblogs", "5", add=options.weights).checkpoint != parse(add=options.weights).checkpoint


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "much"])
def test_no_weights(text, capsys):
    with pytest.raises(SystemExit):
        parse("--replies", text, add=options.weights)
    assert "--replies" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--sink", "console"], ["--once"], ["--deduplicate"]])
def test_real_time_needs_kafka_alone(more):
    assert parse("--realtime", "--sink", "kafka", add=options.realtime).realtime
    with pytest.raises(ConfigError, match="--realtime"):
        parse("--realtime", "--sink", "kafka", *more, add=options.realtime)
