"""Several analyses in one Spark application: `--mode` and `--analysis` choose them, their own options follow."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace

from millrace import analyses, application, options, session
from millrace.analyses import ANALYSES, Analysis
from millrace.errors import ConfigError
from millrace.options import Options

_CONSOLE = {
    name: replace(analysis, sinks=("console",))
    for name, analysis in (
        ("engagement", analyses.ENGAGEMENT),
        ("language", analyses.LANGUAGES),
        ("users", analyses.AUTHORS),
    )
}
MODES: dict[str | None, dict[str, tuple[Analysis, ...]]] = {
    "stream": {
        "engagement": (analyses.ENGAGEMENT,),
        "hashtags": (analyses.POST_HASHTAGS,),
        "language": (analyses.FILTERED,),
        "full": (analyses.ENGAGEMENT, analyses.POST_HASHTAGS),
    },
    "sql": {
        **{name: (analysis,) for name, analysis in _CONSOLE.items()},
        "count": (analyses.COUNTS,),
        "dashboard": (analyses.DASHBOARD,),
    },
    None: {name: (analysis,) for name, analysis in ANALYSES.items()},
}


def run(job: str, doc: str | None, source: str) -> None:
    """Run the analyses that the command line chooses in one Spark application, on `source` unless it says otherwise.

    Each has the checkpoint that it has as a job of its own; when one cannot go on, all stop.
    """
    selected = select(job, doc, source, sys.argv[1:])
    spark = session.create(replace(selected[0][1], job=job))
    flows = (each.flows(application.records(spark, options), options) for each, options in selected)
    session.start_all([flow for several in flows for flow in several])


def select(job: str, doc: str | None, source: str, argv: Sequence[str]) -> list[tuple[Analysis, Options]]:
    """Return the chosen analyses, each with its options; raises ConfigError for what does not go together.

    Of options that several have, each has its own default: windows of `counts` last 10 seconds.
    """
    choice, rest = _choice(ArgumentParser(add_help=False, allow_abbrev=False)).parse_known_args(argv)
    wanted = _chosen(choice) if choice.analysis or not {"-h", "--help"} & set(rest) else list(ANALYSES.values())
    _refuse_strangers(job, doc, source, wanted, argv)
    parsed = [
        options.parse(each.name, doc, rest, sinks=each.sinks, add=each.add, source=source, lenient=True)
        for each in wanted
    ]
    if len(parsed) == 1:
        return list(zip(wanted, parsed, strict=True))
    if any(each.realtime for each in parsed):
        raise ConfigError("--realtime goes with one analysis alone: filtered (--mode stream --analysis language)")
    return [(each, its.under(each.name)) for each, its in zip(wanted, parsed, strict=True)]


def _choice(parser: ArgumentParser) -> ArgumentParser:
    names = {mode: ", ".join(analyses) for mode, analyses in MODES.items()}
    parser.add_argument(
        "--mode",
        choices=[mode for mode in MODES if mode],
        help=f"how analyses are named: stream ({names['stream']}), sql ({names['sql']}; the first three to the "
        f"console), else as the jobs ({names[None]})",
    )
    parser.add_argument("--analysis", action="append", metavar="NAME", help="what is run; repeatable")
    return parser


def _chosen(choice: Namespace) -> list[Analysis]:
    known = MODES[choice.mode]
    named = f"--mode {choice.mode}" if choice.mode else "without --mode"
    wrong = sorted(set(choice.analysis or ()) - known.keys())
    if wrong or not choice.analysis:
        asked = ", ".join(wrong) or "none"
        raise ConfigError(f"--analysis: {named} it is {', '.join(known)} (repeatable), not {asked}")
    return list(dict.fromkeys(each for name in choice.analysis for each in known[name]))


def _refuse_strangers(job: str, doc: str | None, source: str, wanted: list[Analysis], argv: Sequence[str]) -> None:
    """Exit with the usage at an option that none of the analyses has, and at --help."""

    def add(parser: ArgumentParser) -> None:
        _choice(parser)
        for each in wanted:
            each.add(parser)

    conflicts = {"conflict_handler": "resolve"}  # several have --window
    options.parser(job, doc, "each analysis's own", add, source, **conflicts).parse_args(argv)
