"""Run several jobs in one Spark application: one JVM and one Python for all, instead of one of each per job."""

from argparse import REMAINDER, ArgumentParser, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from millrace.applications.job import Bundle, Job, Part
from millrace.errors import ConfigError

NAME = "several"
APART = "+"


def several(jobs: Mapping[str, Job | Bundle]) -> Bundle:
    """Return the bundle that runs several of `jobs`, each with the checkpoint that it has alone."""

    def parts(doc: str | None, argv: Sequence[str]) -> list[Part]:
        parser = ArgumentParser(NAME, description=doc, formatter_class=RawDescriptionHelpFormatter)
        text = f"each as for itself, {APART} between two"
        parser.add_argument("jobs", nargs=REMAINDER, metavar="JOB OPTIONS", help=text)
        return select(jobs, parser.parse_args(argv).jobs)

    return Bundle(NAME, f"several of all these in one application, {APART} between two", parts)


def select(jobs: Mapping[str, Job | Bundle], argv: Sequence[str]) -> list[Part]:
    """Return the options and the queries of each job; raises ConfigError for what does not go together."""
    parts = [part for line in _lines(argv) for part in _job(jobs, line)]
    options = [part.options for part in parts]
    [(name, count)] = Counter(its.name for its in options).most_common(1)
    if count > 1:
        raise ConfigError(f"{count} queries would be called {name}: give one of the jobs another --name")
    if any(its.realtime for its in options):
        raise ConfigError("--realtime goes with a job alone, not with several")
    return parts


def _lines(argv: Sequence[str]) -> Iterator[list[str]]:
    line: list[str] = []
    for word in (*argv, APART):
        if word != APART:
            line.append(word)
            continue
        if not line:
            raise ConfigError(f"name jobs, {APART} between two: hashtags --sink sqlite {APART} candles AAPL")
        yield line
        line = []


def _job(jobs: Mapping[str, Job | Bundle], line: list[str]) -> list[Part]:
    name, *argv = line
    if name not in jobs:
        raise ConfigError(f"no job {name!r} to run with others: it is {', '.join(jobs)}")
    if jobs[name].alone:
        raise ConfigError(f"{name} runs alone: {jobs[name].alone}")
    return jobs[name].parts(None, argv)
