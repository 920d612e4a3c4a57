"""Which jobs run together in one Spark application, each by a command line of its own."""

import pytest

from millrace.applications.registry import JOBS
from millrace.errors import ConfigError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def chosen(line):
    return [part.options for part in JOBS["several"].parts(None, line.split())]


def test_each_job_has_its_own_options():
    line = "hashtags --window 5m + candles AAPL --sink sqlite + mastodon --name m --analysis counts --analysis hashtags"
    found = chosen(line)
    assert [its.name for its in found] == ["hashtags", "candles", "m-counts", "m-hashtags"]
    assert [its.topics for its in found] == [["bluesky-raw-posts"], ["finnhub-trades"], *[["Mastodon_stream"]] * 2]
    assert [its.args.window for its in (found[0], *found[2:])] == ["5 minutes", "10 seconds", "1 minutes"]
    assert found[1].args.symbols == ["AAPL"]


def test_a_query_has_the_checkpoint_that_it_has_alone():
    [tags, _] = chosen("hashtags --window 5m + counts")
    [alone] = chosen("hashtags --window 5m")
    assert tags.checkpoint == alone.checkpoint
    [its, _] = chosen("candles AAPL --resolution 60s + counts")
    assert its.checkpoint == chosen("candles AAPL --resolution 1m")[0].checkpoint
    assert JOBS["candles"].parts(None, ["AAPL"])[0].options.topics == its.topics


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "name jobs"),
        ("hashtags +", "name jobs"),
        ("hashtags + several", "no job 'several' to run with others: it is engagement, hashtags"),
        ("hashtags + candles", "name symbols"),
        ("hashtags + mastodon --analysis hashtags", "2 queries would be called hashtags: .* --name"),
        ("filtered --realtime --sink kafka + counts", "--realtime goes with a job alone"),
    ],
)
def test_what_does_not_go_together_is_said(line, said):
    with pytest.raises(ConfigError, match=said):
        chosen(line)


def test_every_job_runs_beside_others_or_says_why_not():
    for name in JOBS.keys() - {"several"}:
        assert not JOBS[name].alone or len(JOBS[name].alone.splitlines()) == 1
    found = chosen("hashtags + quarantine some-topic + archive --topic some-topic")
    assert [its.args.sink for its in found] == [["sqlite"], ["kafka"], ["hdfs"]]
    assert found[2].args.archive.endswith("/.millrace/archive")
