"""`make bench`: run the benchmarks and print their figures with the machine that they were measured on.

python -m benchmarks                              all, two million posts
python -m benchmarks --quick --only parser sinks  some, small
"""

import json
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks import (
    archive,
    candles,
    cdc,
    documents,
    hashtags,
    ingest,
    latency,
    machine,
    mongodb,
    parser,
    realtime,
    sentiment,
    sinks,
    start,
    together,
    view,
)
from benchmarks.report import Figure, table

Benchmark = Callable[[Namespace], Iterable[Figure]]
BENCHMARKS: dict[str, Benchmark] = {
    "parser": lambda args: parser.measure(),
    "sinks": lambda args: sinks.measure(),
    "archive": lambda args: archive.measure(12_000 if args.quick else 240_000),
    "documents": lambda args: documents.measure(10_000 if args.quick else 40_000),
    "mongodb": lambda args: mongodb.measure(
        args.posts or (50_000 if args.quick else 1_000_000), 10_000 if args.quick else 40_000
    ),
    "ingest": lambda args: ingest.measure(50_000 if args.quick else 300_000),
    "start": lambda args: start.measure(1 if args.quick else 3),
    "latency": lambda args: latency.measure(20 if args.quick else 60),
    "realtime": lambda args: realtime.measure(20 if args.quick else 60),
    "together": lambda args: together.measure(args.posts or (50_000 if args.quick else 1_000_000)),
    "candles": lambda args: candles.measure(
        args.posts or (200_000 if args.quick else 3_000_000), 20 if args.quick else 60
    ),
    "cdc": lambda args: cdc.measure(
        50_000 if args.quick else 1_000_000, 10 if args.quick else 60, 50_000 if args.quick else 1_000_000
    ),
    "sentiment": lambda args: sentiment.measure(*((1, 100, 2_000) if args.quick else (5, 1_000, 10_000))),
    "view": lambda args: view.measure(50_000 if args.quick else 1_000_000, 2 if args.quick else 7),
    "hashtags": lambda args: hashtags.measure(args.posts or (100_000 if args.quick else 2_000_000), args.partitions),
}


def main() -> None:
    args = _arguments()
    console, err = Console(), Console(stderr=True)
    told = machine.line()
    err.print(told, highlight=False)
    figures: list[Figure] = []
    for name in args.only or BENCHMARKS:
        err.print(f"{name} ...", highlight=False)
        figures += BENCHMARKS[name](args)
    if console.is_terminal:
        console.print(table(figures, told))
    else:
        Console(width=150).print(table(figures, told))
    if args.json:
        document = {"machine": machine.describe(), "figures": [asdict(figure) for figure in figures]}
        args.json.write_text(json.dumps(document, indent=1) + "\n")


def _arguments() -> Namespace:
    options = ArgumentParser("benchmarks", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS))
    options.add_argument(
        "--posts", type=int, metavar="N", help="posts of hashtags (2,000,000), together and mongodb (1,000,000)"
    )
    options.add_argument("--partitions", type=int, default=3, metavar="N", help="of its topic (default %(default)s)")
    options.add_argument("--quick", action="store_true", help="small: shows that all works, figures mean little")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return options.parse_args()


if __name__ == "__main__":
    main()
