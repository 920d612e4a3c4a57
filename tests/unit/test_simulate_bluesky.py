"""The double of Jetstream: what it sends, how it replays, breaks and filters, and that its truth is true."""

import gc
import json
import re
import signal
import subprocess
import sys
import unicodedata
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import isfinite
from socket import create_connection
from urllib.parse import urlsplit

import pytest
import websocket
from websocket import (
    ABNF,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketTimeoutException,
)

from millrace.errors import ConfigError, Unavailable
from millrace.simulate import malformed, texts
from millrace.simulate.bluesky import running
from millrace.simulate.jetstream import V2
from millrace.simulate.posts import Events
from millrace.simulate.scenario import Scenario, instant
from millrace.simulate.truth import fold, truth

POST = "app.bsky.feed.post"
POSTS = f"wantedCollections={POST}"
REFUSALS = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
START = datetime(2026, 7, 4, 12, 0, 30, tzinfo=UTC)
START_US = int(START.timestamp()) * 10**6
SCENARIO = Scenario(seed=7, rate=20, count=1200, start=START, speed=0)
MILLRACE = (sys.executable, "-c", "from millrace.cli import main; main()")
DEADLINE = 10  # seconds; a wait that takes longer fails the test


@contextmanager
def connect(url, path="/subscribe", query=""):
    address = f"{url}{path}?{query}"
    socket = websocket.create_connection(address, timeout=DEADLINE, skip_utf8_validation=True)
    try:
        yield socket
    finally:
        socket.close()
        socket.shutdown()  # after a lost connection `close` does nothing


def receive(socket, frames):
    """Return `frames` messages as (opcode, bytes)."""
    return [socket.recv_data() for _ in range(frames)]


def take(url, frames, path="/subscribe", query=""):
    """Connect, return `frames` messages parsed, leave."""
    with connect(url, path, query) as socket:
        return [json.loads(data) for _, data in receive(socket, frames)]


def until_closed(socket):
    """Return all messages until the connection breaks, and the error that told so."""
    data = []
    try:
        while True:
            opcode, message = socket.recv_data()
            if opcode == ABNF.OPCODE_CLOSE:
                return data, int.from_bytes(message[:2], "big")
            data.append(message)
    except (WebSocketConnectionClosedException, ConnectionResetError) as error:
        return data, error


@pytest.fixture(scope="module")
def url():
    with running(SCENARIO) as url:
        yield url


def whole(scenario):
    """Return every frame of a scenario, copies included, parsed where they can be."""
    copies = sum(map(Events(scenario).copies, range(scenario.count)))
    with running(scenario) as url, connect(url) as socket:
        return receive(socket, scenario.count + copies)


# -- what is sent --------------------------------------------------------------------------------------------


def test_same_scenario_same_bytes_and_another_seed_others():
    scenario = replace(SCENARIO, count=400, duplicates=0.3, malformed=0.3, late=0.1, future_dated=0.1)
    first = whole(scenario)
    assert whole(scenario) == first
    assert whole(replace(scenario, seed=8))[:50] != first[:50]


def test_frames_have_the_shapes_of_the_wire(url):
    kinds = Counter()
    for index, frame in enumerate(take(url, 1200)):
        assert frame["cursor"] == index + 1
        assert frame["kind"] in ("commit", "identity", "account")
        assert re.fullmatch(r"did:plc:[a-z2-7]{24}", frame["did"])
        body = frame[frame["kind"]]
        if frame["kind"] != "commit":
            assert body["did"] == frame["did"]
            kinds[frame["kind"]] += 1
            continue
        kinds[body["collection"], body["operation"]] += 1
        assert re.fullmatch(r"3[a-z2-7]{12}", body["rkey"])
        assert re.fullmatch(r"3[a-z2-7]{12}", body["rev"])
        if body["operation"] == "delete":
            assert not {"record", "cid"} & body.keys()
        else:
            assert body["record"]["$type"] == body["collection"]
            assert re.fullmatch(r"bafyrei[a-z2-7]{52}", body["cid"])
            datetime.fromisoformat(body["record"]["createdAt"])
    posts = {operation: kinds[POST, operation] for operation in ("create", "update", "delete")}
    assert all(posts.values()) and kinds["app.bsky.feed.like", "create"] and kinds["identity"] and kinds["account"]
    assert posts["create"] > 10 * posts["update"]


def test_edits_and_deletes_are_of_earlier_posts_and_every_event_is_its_own(url):
    created, seen = {}, set()
    for frame in (frame for frame in take(url, 1200) if frame["kind"] == "commit"):
        commit = frame["commit"]
        identity = (frame["did"], commit["collection"], commit["rkey"])
        event = (*identity, commit["rev"], commit["operation"])
        assert event not in seen
        seen.add(event)
        if commit["operation"] == "create":
            assert identity not in created
            created[identity] = commit["rev"]
        else:
            assert created[identity] < commit["rev"]


def test_event_times_step_back_by_no_more_than_the_disorder():
    times = [frame["time_us"] for frame in map(json.loads, (data for _, data in whole(replace(SCENARIO, rate=500))))]
    steps = [START_US + index * 2000 - time for index, time in enumerate(times)]
    assert min(steps) >= 0
    assert 20_000 < max(steps) <= 30_000
    assert times != sorted(times)


def test_the_texts_are_in_many_scripts_and_some_need_normalising(url):
    records = [frame["commit"]["record"] for frame in take(url, 1200) if "text" in str(frame)]
    posts = [record for record in records if "text" in record]
    scripts = {unicodedata.name(char).split()[0] for post in posts for char in post["text"] if char.isalpha()}
    assert {"LATIN", "CJK", "HIRAGANA", "ARABIC", "HANGUL", "CYRILLIC", "DEVANAGARI", "FULLWIDTH"} <= scripts
    text = "".join(post["text"] for post in posts)
    assert unicodedata.normalize("NFC", text) != text
    assert "＃" in text
    assert any(ord(char) > 0xFFFF for char in text)
    assert {"langs" in post for post in posts} == {True, False}


def test_facets_count_in_bytes(url):
    tags = links = 0
    for frame in take(url, 1200):
        record = frame.get("commit", {}).get("record", {})
        for facet in record.get("facets", ()):
            index, feature = facet["index"], facet["features"][0]
            covered = record["text"].encode()[index["byteStart"] : index["byteEnd"]].decode()
            if "tag" in feature:
                assert covered.lstrip("#＃") == feature["tag"].lstrip("#＃")
                assert covered[0] in "#＃"
                tags += 1
            else:
                assert feature["uri"] == "https://" + covered
                links += 1
    assert tags > 100
    assert links > 50


def test_spellings_of_a_hashtag_fold_to_one_and_those_for_bare_text_are_plain():
    assert len(texts.VOCABULARY) == 400
    assert len({fold(tag) for tag in texts.VOCABULARY}) == 400
    for tag, spellings, plain in zip(texts.VOCABULARY, texts.SPELLINGS, texts.PLAIN, strict=True):
        assert {fold(word) for word in (*spellings, *plain)} == {fold(tag)}
        assert all(re.fullmatch(r"\w+", word) for word in plain)
    assert fold("＃ＳＴＲＡＳＳＥ") == fold("straße") == "strasse"


# -- cursors and filters -------------------------------------------------------------------------------------


def test_a_sequence_cursor_is_inclusive(url):
    everything = take(url, 1200)
    assert take(url, 700, query="cursor=501") == everything[500:]
    assert take(url, 5, query="cursor=0") == everything[:5]


def test_a_time_cursor_misses_nothing_from_that_time_on(url):
    everything = take(url, 1200)
    for wanted in (everything[0], everything[600], everything[1199]):
        missing = {frame["cursor"] for frame in everything if frame["time_us"] >= wanted["time_us"]}
        replayed = take(url, len(missing), query=f"cursor={wanted['time_us']}")
        assert missing <= {frame["cursor"] for frame in replayed} | {wanted["cursor"]}
        assert replayed[0]["cursor"] in (wanted["cursor"], wanted["cursor"] - 1)


def test_without_sequence_frames_carry_no_cursor():
    with running(replace(SCENARIO, sequence=False)) as url:
        frames = take(url, 50)
        assert not any("cursor" in frame for frame in frames)
        assert take(url, 1, query=f"cursor={frames[40]['time_us']}") == [frames[40]]


@pytest.mark.parametrize("cursor", ["99999999", "9" * 30, str(START_US + 10**12)])
def test_a_cursor_in_the_future_waits_for_what_comes(url, cursor):
    with connect(url, query=f"cursor={cursor}") as socket:
        socket.settimeout(0.1)
        with pytest.raises(WebSocketTimeoutException):
            socket.recv()


def test_collections_filter_commits_only(url):
    everything = take(url, 1200)

    def wanted(frame):
        return frame["kind"] != "commit" or frame["commit"]["collection"] == POST

    expected = list(filter(wanted, everything))
    assert len(expected) < len(everything)
    assert take(url, len(expected), query=POSTS) == expected
    assert take(url, 1200, query="wantedCollections=app.bsky.feed.*") == everything


def test_dids_filter_everything(url):
    everything = take(url, 1200)
    did = Counter(frame["did"] for frame in everything).most_common(1)[0][0]
    expected = [frame for frame in everything if frame["did"] == did]
    with connect(url, query=f"wantedDids={did}") as socket:
        assert [json.loads(data) for _, data in receive(socket, len(expected))] == expected
        socket.settimeout(0.1)
        with pytest.raises(WebSocketTimeoutException):
            socket.recv()


def test_v2_frames_say_the_same_as_v1(url):
    for old, frame in zip(take(url, 300), take(url, 300, V2), strict=True):
        payload = frame.pop("payload")
        assert frame == {"$type": "message"}
        assert payload.pop("$type") == f"network.bsky.jetstream.subscribeEvents#{old['kind']}"
        assert (payload.pop("seq"), payload.pop("did")) == (old["cursor"], old["did"])
        time = datetime.fromisoformat(payload.pop("time"))
        assert (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == old["time_us"]
        assert payload == (old["commit"] if old["kind"] == "commit" else {old["kind"]: old[old["kind"]]})


def test_v2_filters_by_kind_collection_and_cursor(url):
    frames = take(url, 100, V2, "kinds=commit&collections=app.bsky.feed.like&cursor=300")
    assert {frame["payload"]["collection"] for frame in frames} == {"app.bsky.feed.like"}
    assert frames[0]["payload"]["seq"] >= 300


@pytest.mark.parametrize(
    ("path", "query", "status", "name"),
    [
        ("/nowhere", "", 404, b"/subscribe"),
        ("/subscribe", "cursor=yesterday", 400, b"invalid cursor"),
        ("/subscribe", "compress=true", 400, b"compress"),
        ("/subscribe", "&".join(f"wantedCollections=a.b.c{n}" for n in range(101)), 400, b"100"),
        (V2, "wantedCollections=app.bsky.feed.post", 400, b'"error":"InvalidRequest"'),
        (V2, "kinds=posts", 400, b'"error":"InvalidRequest"'),
    ],
)
def test_a_bad_request_is_refused_before_the_handshake(url, path, query, status, name):
    with pytest.raises(WebSocketBadStatusException) as refusal, connect(url, path, query):
        pass
    assert refusal.value.status_code == status
    assert name in refusal.value.resp_body


def test_a_cursor_before_the_look_back_is_refused_by_v2_and_clamped_by_v1():
    with running(replace(SCENARIO, lookback=20 / 3600)) as url:  # 400 of the 1200 frames
        with pytest.raises(WebSocketBadStatusException) as refusal, connect(url, V2, "cursor=100"):
            pass
        assert refusal.value.status_code == 400
        assert json.loads(refusal.value.resp_body)["error"] == "CursorTooOld"
        assert take(url, 1, "/subscribe", "cursor=100")[0]["cursor"] == 801
        assert take(url, 1, "/subscribe", f"cursor={START_US}")[0]["cursor"] == 801
        assert take(url, 1, V2, f"cursor={START_US}")[0]["payload"]["seq"] == 801
        assert take(url, 1, V2, "cursor=801")[0]["payload"]["seq"] == 801


def test_a_v2_client_that_sends_data_is_closed_and_a_v1_client_is_not(url):
    with connect(url, V2, "cursor=1200") as socket:
        socket.send("hello")
        assert until_closed(socket)[1] == 1008
    with connect(url, query="cursor=1200") as socket:
        socket.send("hello")
        assert json.loads(socket.recv())["cursor"] == 1200
        socket.settimeout(0.1)
        with pytest.raises(WebSocketTimeoutException):
            socket.recv()


# -- faults --------------------------------------------------------------------------------------------------


def test_a_connection_drops_after_its_frames_without_a_word_and_a_cursor_goes_on():
    seen, cursor = set(), 1
    with running(replace(SCENARIO, drop_every=100)) as url:
        while cursor < 1200:
            expected = min(100, 1201 - cursor)
            with connect(url, query=f"cursor={cursor}") as socket:
                frames = [json.loads(data) for _, data in receive(socket, expected)]
                if expected == 100:
                    more, end = until_closed(socket)
                    assert not more
                    assert isinstance(end, Exception)  # no closing handshake
            seen |= {frame["cursor"] for frame in frames}
            cursor = frames[-1]["cursor"]
    assert seen == set(range(1, 1201))


def test_the_server_falls_silent_once_until_the_client_comes_back():
    with running(replace(SCENARIO, silent_after=100)) as url:
        with connect(url) as socket:
            last = json.loads(receive(socket, 100)[-1][1])
            socket.settimeout(0.1)
            with pytest.raises(WebSocketTimeoutException):
                socket.recv()
            socket.ping("alive?")  # half dead, not gone
            socket.settimeout(DEADLINE)
            assert socket.recv_frame().opcode == ABNF.OPCODE_PONG
        assert last["cursor"] == 100
        assert len(take(url, 1101, query="cursor=100")) == 1101


def test_copies_come_later_and_are_the_same_bytes():
    scenario = replace(SCENARIO, count=500, duplicates=0.5)
    frames = whole(scenario)
    counts = Counter(data for _, data in frames)
    assert set(counts.values()) == {1, 2, 3}
    assert len(counts) == 500
    assert 200 < sum(1 for times in counts.values() if times > 1) < 300
    everything = whole(replace(scenario, duplicates=1.0))
    assert min(Counter(everything).values()) == 2


def test_copies_of_frames_before_the_cursor_are_not_sent():
    with running(replace(SCENARIO, duplicates=1.0)) as url:
        assert min(frame["cursor"] for frame in take(url, 200, query="cursor=600")) == 600


def refuse(text):
    raise ValueError(text)


def finite(text):
    number = float(text)
    return number if isfinite(number) else refuse(text)


def strict(data):
    """Parse one v1 or v2 frame as a careful reader does, or raise one of REFUSALS."""
    frame = json.loads(data.decode(), parse_constant=refuse, parse_float=finite)
    frame = frame.get("payload", frame)
    time = frame["time_us"] if "time_us" in frame else datetime.fromisoformat(frame["time"])
    if not (isinstance(frame["did"], str) and isinstance(time, int | datetime)):
        raise TypeError("a field of the wrong type")
    commit = frame.get("commit", frame)
    if commit.get("collection") == POST and commit["operation"] != "delete":
        text = commit["record"]["text"]
        text.encode()  # raises for a lone surrogate
        if "\0" in text:
            raise ValueError("NUL")
    return frame


def sound(data):
    """Say whether `strict` takes a frame."""
    try:
        strict(data)
    except REFUSALS:
        return False
    return True


@pytest.mark.parametrize("path", ["/subscribe", V2])
def test_every_malformed_frame_is_malformed_in_its_way(path):
    scenario = replace(SCENARIO, count=300, malformed=1.0)
    events = Events(scenario)
    opcodes = {}
    with running(scenario) as url, connect(url, path) as socket:
        for index, (opcode, data) in enumerate(receive(socket, 300)):
            opcodes.setdefault(malformed.way(events.at(index)), set()).add(opcode)
            assert not sound(data), data
    assert opcodes.keys() == set(malformed.WAYS)
    binary = [name for name, codes in opcodes.items() if codes == {ABNF.OPCODE_BINARY}]
    assert binary == ["invalid UTF-8 in a binary frame"]


@pytest.mark.parametrize("path", ["/subscribe", V2])
def test_all_other_frames_are_sound(url, path):
    with connect(url, path) as socket:
        assert all(sound(data) for _, data in receive(socket, 1200))


def test_future_dates_are_claims_only():
    scenario = replace(SCENARIO, future_dated=0.5)
    frames = [json.loads(data) for _, data in whole(scenario)]
    claims = Counter(f["commit"]["record"]["createdAt"][:4] for f in frames if "record" in f.get("commit", ()))
    assert claims.keys() == {"2036", "1970", "2026"}
    assert all(START_US - 30_000 <= frame["time_us"] < START_US + 61 * 10**6 for frame in frames)


def test_late_frames_lie_before_every_window_of_frames_in_time():
    frames = [json.loads(data) for _, data in whole(replace(SCENARIO, late=0.2))]
    late = [frame for frame in frames if frame["time_us"] < START_US - 10**6]
    assert 150 < len(late) < 300
    assert {frame["commit"]["collection"] for frame in late} == {POST}
    assert all(30 * 60 <= (START_US - frame["time_us"]) / 10**6 <= 60 * 60 for frame in late)


# -- time ----------------------------------------------------------------------------------------------------


def test_frames_come_at_their_pace_and_a_new_client_without_cursor_starts_at_now():
    scenario = Scenario(seed=1, rate=200, count=2000, speed=1)
    with running(scenario) as url:
        with connect(url) as socket:
            data = receive(socket, 100)
            age = datetime.now(UTC).timestamp() - json.loads(data[-1][1])["time_us"] / 10**6
        assert json.loads(data[0][1])["cursor"] == 1
        assert -0.05 < age < 5
        assert take(url, 1)[0]["cursor"] >= 100


def test_a_scenario_sent_at_once_ends_now():
    scenario = Scenario(count=6000, rate=10, speed=0)
    end = scenario.nominal(6000) / 10**6
    assert abs(datetime.now(UTC).timestamp() - end) < 5


# -- the truth -----------------------------------------------------------------------------------------------


def recount(frames):
    """Count hashtags per minute from frames alone, with code that shares nothing with the simulator."""
    counts, seen = Counter(), set()
    for frame in frames:
        commit = frame.get("commit", {})
        key = (frame["did"], commit.get("rkey"), commit.get("rev"))
        if (commit.get("collection"), commit.get("operation")) != (POST, "create") or key in seen:
            continue
        seen.add(key)
        minute = datetime.fromtimestamp(frame["time_us"] // 10**6 // 60 * 60, UTC)
        counts.update((f"{minute:%Y-%m-%dT%H:%M:%SZ}", tag) for tag in hashtags(commit["record"]))
    return counts


def hashtags(record):
    """Return the hashtags of a post: those of the markup, without any those of the text, each once."""
    features = (feature for facet in record.get("facets", ()) for feature in facet["features"])
    words = [feature["tag"] for feature in features if "tag" in feature] + record.get("tags", [])
    words = words or re.findall(r"(?:^|(?<=[\s(]))#(\w*[^\W\d]\w*)", record["text"])
    folded = (unicodedata.normalize("NFKC", word).casefold().lstrip("#") for word in words)
    return {unicodedata.normalize("NFKC", tag) for tag in folded}


MESS = replace(SCENARIO, count=3000, rate=10, duplicates=0.3, shuffle=5, late=0.1, malformed=0.1, future_dated=0.2)


@pytest.fixture(scope="module")
def mess():
    """The frames of a scenario with all that goes wrong in contents, and its truth: summary and lines."""
    summary, *lines = truth(MESS)
    return [data for _, data in whole(MESS)], summary, lines


def test_the_truth_equals_a_recount_of_the_frames(mess):
    data, _, lines = mess
    expected = recount(strict(message) for message in data if sound(message))
    assert len(expected) > 300
    assert {(line["window_start"], line["hashtag"]): line["posts"] for line in lines} == expected


def test_the_truth_holds_accepted_and_late_windows_apart(mess):
    _, _, lines = mess
    assert [line["late"] for line in lines] == sorted(line["late"] for line in lines)
    ends = {line["window_end"] for line in lines if line["late"]}
    starts = {line["window_start"] for line in lines if not line["late"]}
    assert ends
    assert max(ends) < "2026-07-04T11:59:00Z" <= min(starts)
    minute = timedelta(minutes=1)
    spans = {datetime.fromisoformat(x["window_end"]) - datetime.fromisoformat(x["window_start"]) for x in lines}
    assert spans == {minute}


def test_the_summary_counts_every_event_once(mess):
    data, summary, _ = mess
    events = {json.dumps(frame): frame for frame in (strict(message) for message in data if sound(message))}
    operations, late = Counter(), 0
    for frame in events.values():
        commit = frame.get("commit", {})
        post = commit.get("collection") == POST
        operations[commit["operation"] if post else commit.get("collection", "other")] += 1
        late += post and frame["time_us"] < START_US - 10**7
    assert summary == {
        "kind": "summary",
        "events": 3000,
        "posts": operations["create"] + operations["update"] + operations["delete"],
        "creates": operations["create"],
        "updates": operations["update"],
        "deletes": operations["delete"],
        "malformed": sum(not sound(message) for message in data),
        "late": late,
        "likes": operations["app.bsky.feed.like"],
        "others": operations["other"],
    }
    assert min(value for value in summary.values() if isinstance(value, int)) > 0


def test_the_window_of_the_truth_can_be_chosen():
    _, *lines = truth(replace(SCENARIO, count=200), window=3600)
    assert {(line["window_start"], line["window_end"]) for line in lines} == {
        ("2026-07-04T12:00:00Z", "2026-07-04T13:00:00Z")
    }


def test_the_fraction_of_posts_with_hashtags_can_be_chosen():
    assert len(list(truth(replace(SCENARIO, tagged=0.0)))) == 1
    events = Events(replace(SCENARIO, tagged=1.0))
    posts = [event for event in map(events.at, range(200)) if event.kind == "create"]
    assert all(post.hashtags for post in posts)


# -- the command ---------------------------------------------------------------------------------------------


@contextmanager
def command(*options):
    """Run `millrace simulate bluesky` and yield the process and its URL once it is ready."""
    arguments = [*MILLRACE, "simulate", "bluesky", "--port", "0", *options]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        assert line.startswith("ready ws://127.0.0.1:"), line + process.stderr.read()
        yield process, line.split()[1]
    finally:
        process.kill()
        process.communicate()


def test_the_command_writes_the_truth_before_it_is_ready_and_stops_cleanly(tmp_path):
    path = tmp_path / "truth.jsonl"
    options = (
        "--seed",
        "7",
        "--rate",
        "20",
        "--count",
        "300",
        "--start",
        "2026-07-04T12:00:30Z",
        "--speed",
        "0",
    )
    with command(*options, "--truth", str(path)) as (process, url):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert lines == list(truth(replace(SCENARIO, count=300)))
        with running(replace(SCENARIO, count=300)) as other:
            assert take(url, 300) == take(other, 300)
        with connect(url):  # an open connection holds nothing up
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE) == 0
        assert process.stderr.read() == ""


def test_an_endless_command_writes_the_truth_of_what_it_sent_when_it_ends(tmp_path):
    path = tmp_path / "truth.jsonl"
    with command("--rate", "500", "--truth", str(path)) as (process, url):
        take(url, 100)
        assert not path.exists()
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
    summary = json.loads(path.read_text().splitlines()[0])
    assert 100 <= summary["events"] < 5000
    assert summary["events"] == summary["posts"] + summary["likes"] + summary["others"]


def test_wrong_values_are_named_all_at_once():
    with pytest.raises(ConfigError, match="--rate") as error:
        Scenario(rate=0, late=1.5, drop_every=1, future_dated=-1)
    for option in ("--rate 0", "--late", "--drop-every 1", "--future-dated"):
        assert option in str(error.value)
    with pytest.raises(ConfigError, match="--count or --start"):
        Scenario(speed=0)
    with pytest.raises(ConfigError, match="--start"):
        instant("noon")
    with pytest.raises(ConfigError, match="--count"):
        next(truth(Scenario()))


def test_a_taken_port_is_named(url):
    port = int(url.rsplit(":", 1)[1])
    with pytest.raises(Unavailable, match=f"{port}.*--port"), running(SCENARIO, port=port):
        pass


@pytest.mark.parametrize("clients", [1, 50])
def test_its_end_leaves_no_connection_open(clients):
    """Neither those that have not asked for anything yet nor one that came in its last moment."""
    with ExitStack() as stack:
        with running(SCENARIO) as url:
            address = urlsplit(url)
            ours = [stack.enter_context(create_connection((address.hostname, address.port))) for _ in range(clients)]
        gc.disable()  # what is forgotten stays open
        stack.callback(gc.enable)
        for each in ours:
            each.settimeout(DEADLINE)
            with suppress(ConnectionResetError):
                assert each.recv(1) == b""
