"""Run several analyses of Mastodon's posts in one application, chosen by `--mode` and `--analysis`."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace

from millrace.applications import analyses
from millrace.applications.analyses import ANALYSES
from millrace.applications.job import Bundle, Job, Part
from millrace.errors import ConfigError
from millrace.spark import options

NAME = SOURCE = "mastodon"
KNOWN = {job.name: job for job in ANALYSES}
_CONSOLE = {
    name: replace(analysis, sinks=("console",))
    for name, analysis in (
        ("engagement", analyses.ENGAGEMENT),
        ("language", analyses.LANGUAGES),
        ("users", analyses.AUTHORS),
    )
}
MODES: dict[str | None, dict[str, tuple[Job, ...]]] = {
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
    None: {name: (analysis,) for name, analysis in KNOWN.items()},
}


def choosing(*jobs: Job) -> tuple[str, ...]:
    """Return the options that choose `jobs`."""
    return tuple(word for job in jobs for word in ("--analysis", job.name))


def select(doc: str | None, argv: Sequence[str]) -> list[Part]:
    """Return the chosen analyses, each with its options; raises ConfigError for what does not go together.

    An option that several of them have keeps the default of each: windows of `counts` last 10 seconds.
    """
    choice, rest = _choice(ArgumentParser(add_help=False, allow_abbrev=False)).parse_known_args(argv)
    wanted = _chosen(choice) if choice.analysis or not {"-h", "--help"} & set(rest) else list(ANALYSES)
    _refuse_strangers(doc, wanted, argv)
    parsed = [
        options.parse(each.name, doc, rest, sinks=each.sinks, add=each.add, source=SOURCE, lenient=True)
        for each in wanted
    ]
    if len(parsed) == 1:
        return [Part(parsed[0], wanted[0].flows)]
    if any(each.realtime for each in parsed):
        raise ConfigError("--realtime goes with one analysis alone: filtered (--mode stream --analysis language)")
    return [Part(its.under(each.name), each.flows) for each, its in zip(wanted, parsed, strict=True)]


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


def _chosen(choice: Namespace) -> list[Job]:
    known = MODES[choice.mode]
    named = f"--mode {choice.mode}" if choice.mode else "without --mode"
    wrong = sorted(set(choice.analysis or ()) - known.keys())
    if wrong or not choice.analysis:
        asked = ", ".join(wrong) or "none"
        raise ConfigError(f"--analysis: {named} it is {', '.join(known)} (repeatable), not {asked}")
    return list(dict.fromkeys(each for name in choice.analysis for each in known[name]))


def _refuse_strangers(doc: str | None, wanted: list[Job], argv: Sequence[str]) -> None:
    """Exit with the usage at an option that none of the analyses has, and at --help."""

    def add(parser: ArgumentParser) -> None:
        _choice(parser)
        for each in wanted:
            each.add(parser)

    conflicts = {"conflict_handler": "resolve"}  # several have --window
    options.parser(NAME, doc, "each analysis's own", add, SOURCE, **conflicts).parse_args(argv)


MASTODON = Bundle(NAME, "several analyses of Mastodon's posts, chosen by --mode and --analysis", select)
