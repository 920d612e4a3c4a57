"""Know what a stream had missed when it began: its topic had lost records, or it was told to begin with the latest."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from millrace.archive.files import Files
from millrace.kafka import browse, records
from millrace.kafka.gaps import Gaps
from millrace.kafka.times import AHEAD, EPOCH, MILLISECOND, counted
from millrace.kafka.topics import GAPS, existing
from millrace.spark.checkpoint.place import Place
from millrace.spark.options import Options
from millrace.spark.whole import FEEDS, Lack

NOTE = "read-from.json"
OF_BEFORE = ("retained-from.json", "latest-from.txt")  # the notes of earlier versions, which spoke of all topics
TAIL = 1_000  # of the records before the first one, so many are looked at: they come out of order


def lacks(options: Options, place: Place) -> list[Lack]:
    """Return what the stream's topics had lost before its first batch, whose plan its checkpoint has by now.

    Noted in the checkpoint, for what is read from Kafka today may be gone tomorrow. Raises Unavailable.
    """
    known = _noted(place.files, options)
    if known is None:
        began = _began(place.files)
        with browse.consumer(options.bootstrap) as reader:
            moments = {topic: _moment(reader, topic, began.get(topic, {})) for topic in options.topics}
        known = {topic: moment for topic, moment in moments.items() if moment}
        place.files.write(NOTE, json.dumps({topic: moment.isoformat() for topic, moment in known.items()}).encode())
    return [
        *(
            Lack(topic, None, moment, f"{topic} was read from {moment:%Y-%m-%d %H:%M:%S} UTC on")
            for topic, moment in known.items()
        ),
        *_replayed(options),
    ]


def _replayed(options: Options) -> list[Lack]:
    """Return what a replay left out of the topics that are no feed's: it writes that into the topic of gaps."""
    others = [topic for topic in options.topics if topic not in FEEDS]
    if not others or GAPS.name not in existing(options.bootstrap):
        return []
    found = []
    for topic in others:
        with closing(Gaps(options.bootstrap, topic)) as gaps:
            found += [Lack(topic, *span, f"{topic} holds a part of what was replayed") for span in gaps.fresh()]
    return found


def _noted(files: Files, options: Options) -> dict[str, datetime] | None:
    try:
        return {topic: datetime.fromisoformat(moment) for topic, moment in json.loads(files.read(NOTE)).items()}
    except FileNotFoundError:
        pass
    found = {name: text for name in OF_BEFORE if (text := _text(files, name)) is not None}
    if not found:
        return None
    millis, latest = (
        json.loads(found.get(OF_BEFORE[0], '{"milliseconds": null}'))["milliseconds"],
        found.get(OF_BEFORE[1]),
    )
    moments = [EPOCH + millis * MILLISECOND] if millis is not None else []
    moments += [datetime.fromisoformat(latest)] if latest else []
    return dict.fromkeys(options.topics, max(moments)) if moments else {}


def _text(files: Files, name: str) -> str | None:
    try:
        return files.read(name).decode()
    except FileNotFoundError:
        return None


def _began(files: Files) -> Mapping[str, Mapping[str, int]]:
    """Return the first offset that the stream read, by topic and partition, as its checkpoint has it."""
    *_, line = files.read("sources/0/0").decode().splitlines()
    began: dict[str, dict[str, int]] = json.loads(line)
    return began


def _moment(reader: KafkaConsumer, topic: str, began: Mapping[str, int]) -> datetime | None:
    """Return the event time from which all partitions were read, None if from their first records on."""
    firsts = {TopicPartition(topic, int(number)): offset for number, offset in began.items() if offset > 0}
    if not firsts:
        return None
    earliest, ends = reader.beginning_offsets(list(firsts)), reader.end_offsets(list(firsts))
    moments = (_read_from(reader, place, first, earliest[place], ends[place]) for place, first in firsts.items())
    return max(filter(None, moments), default=None)


def _read_from(reader: KafkaConsumer, place: TopicPartition, first: int, earliest: int, end: int) -> datetime | None:
    """Return the time after the newest record before offset `first` or, where they are gone, that of the first after.

    Where there is neither, nobody knows how recent they were, but they were not later than now. None: there were none.
    """
    before = _times(records.between(reader, place, max(earliest, first - TAIL), first))
    if newest := max(before, default=None):
        return min(newest, datetime.now(UTC) + AHEAD) + MILLISECOND
    if earliest == 0 and first <= TAIL:  # a transaction's markers alone
        return None
    return next(_times(records.between(reader, place, first, end)), datetime.now(UTC))


def _times(found: Iterable[ConsumerRecord]) -> Iterator[datetime]:
    return filter(None, (counted(record.timestamp) for record in found))
