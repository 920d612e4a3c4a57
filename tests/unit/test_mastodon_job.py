"""Which analyses run together: names by mode, options of each, and what does not go together."""

import subprocess
import sys
from pathlib import Path

import pytest

from millrace.applications.analyses import ANALYSES
from millrace.applications.mastodon import KNOWN, MODES, select
from millrace.errors import ConfigError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def chosen(line):
    return [part.options for part in select("doc", line.split())]


def names(line):
    return [options.job for options in chosen(line)]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("--mode stream --analysis engagement", ["engagement"]),
        ("--mode stream --analysis language", ["filtered"]),
        ("--mode stream --analysis full", ["engagement", "hashtags"]),
        ("--mode stream --analysis full --analysis hashtags", ["engagement", "hashtags"]),
        ("--mode sql --analysis language --analysis users", ["languages", "authors"]),
        ("--mode sql --analysis count --analysis dashboard", ["counts", "dashboard"]),
        ("--analysis counts --analysis authors", ["counts", "authors"]),
    ],
)  # fmt: skip
def test_names_by_mode(line, wanted):
    assert names(line) == wanted


def test_hashtags_of_mode_stream_are_those_of_each_post():
    [options] = chosen("--mode stream --analysis hashtags")
    [counted] = chosen("--analysis hashtags")
    assert (options.args.per_post, counted.args.per_post) == (True, False)


def test_sinks_are_those_of_each_analysis_and_the_console_for_looking():
    sql = chosen("--mode sql --analysis engagement --analysis language --analysis users --analysis count")
    assert [options.args.sink for options in sql] == [["console"]] * 3 + [["kafka", "sqlite"]]
    assert [options.args.sink for options in chosen("--mode stream --analysis full")] == [
        ["kafka", "sqlite"],
        ["kafka"],
    ]
    [options] = chosen("--mode sql --analysis users --sink kafka")
    assert options.args.sink == ["kafka"]


def test_each_has_its_own_defaults_and_what_is_said_counts_for_all():
    assert [options.args.window for options in chosen("--analysis counts --analysis languages")] == [
        "10 seconds",
        "1 minutes",
    ]
    both = chosen("--analysis counts --analysis languages --window 5m --source tweets --once")
    assert {(options.args.window, options.args.once, *options.topics) for options in both} == {
        ("5 minutes", True, "tweets")
    }
    scored, filtered = (options.args for options in chosen("--analysis engagement --analysis filtered --replies 9"))
    assert (scored.replies, hasattr(filtered, "replies")) == (9.0, False)


def test_a_query_has_one_checkpoint_wherever_it_runs():
    [alone] = chosen("--analysis counts")
    first, second = chosen("--analysis counts --analysis languages")
    assert alone.checkpoint == first.checkpoint != second.checkpoint
    first, second = chosen("--analysis counts --analysis languages --checkpoint /c --name x")
    assert (first.checkpoint, second.checkpoint) == ("/c-counts", "/c-languages")
    assert (first.name, second.name) == ("x-counts", "x-languages")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "not none"),
        ("--mode sql", "it is engagement, language, users, count, dashboard"),
        ("--mode stream --analysis users", "--mode stream it is engagement, hashtags, language, full"),
        ("--analysis language", "without --mode it is engagement, hashtags, filtered"),
        ("--analysis filtered --analysis counts --realtime --sink kafka", "--realtime goes with one analysis alone"),
    ],
)
def test_what_does_not_go_together_is_said(line, said):
    with pytest.raises(ConfigError, match=said):
        chosen(line)


@pytest.mark.parametrize("line", ["--mode sql --analysis count --replies 2", "--mode odd --analysis count",
                                  "--analysis counts --wind 5m"])  # fmt: skip
def test_options_of_nobody_are_misuse(line, capsys):
    with pytest.raises(SystemExit, match="2"):
        chosen(line)
    assert line.split()[2] in capsys.readouterr().err


def test_help_shows_the_options_of_all(capsys):
    with pytest.raises(SystemExit, match="0"):
        chosen("--help")
    assert {"--keyword", "--replies", "--per-post", "--slide"} <= set(capsys.readouterr().out.split())


def test_each_analysis_can_be_chosen():
    assert list(KNOWN.values()) == list(ANALYSES)
    assert {each.name for mode in MODES.values() for several in mode.values() for each in several} == KNOWN.keys()


def test_no_job_needs_the_package_that_the_file_mastodon_hides():
    """jobs/mastodon.py comes before Mastodon.py wherever spark-submit runs it."""
    line = "import sys, millrace.applications.registry; sys.exit('mastodon' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", line], cwd=Path.cwd(), check=False).returncode == 0
