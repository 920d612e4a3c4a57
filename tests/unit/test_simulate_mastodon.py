"""The double of Mastodon: its pages, limits, lookups, stream and faults, and that its truth is true."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import websocket

from millrace.errors import ConfigError
from millrace.simulate import texts
from millrace.simulate.community import Community, Posts, status
from millrace.simulate.mastodon import running, truth
from millrace.simulate.truth import fold

START = datetime(2026, 7, 4, 12, 0, tzinfo=UTC)
WHOLE = Community(seed=5, rate=10, count=300, start=START, speed=0, tagged=0.5, limit=10_000)
PUBLIC = "/api/v1/timelines/public"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(WHOLE) as (url, _):
        yield url


def get(url: str, path: str = PUBLIC, **query: int) -> httpx.Response:
    return httpx.get(url + path, params=query or None, timeout=20)


def ids(url: str, path: str = PUBLIC, **query: int) -> list[int]:
    return [int(each["id"]) for each in get(url, path, **query).json()]


def everything() -> list[int]:
    return sorted(post.id for post in map(Posts(WHOLE).at, range(300)))


def test_pages_are_newest_first_and_of_forty_at_most(url: str) -> None:
    assert ids(url) == everything()[:-21:-1]
    assert ids(url, limit=500) == everything()[:-41:-1]


def test_min_id_pages_forward_without_holes(url: str) -> None:
    found, after = [], 0
    while page := ids(url, min_id=after, limit=40):
        found += page[::-1]
        after = page[0]
    assert found == everything()


def test_since_id_skips_when_more_than_a_page_is_new(url: str) -> None:
    assert ids(url, since_id=everything()[0], limit=40) == everything()[:-41:-1]
    assert ids(url, min_id=everything()[0], limit=40) == everything()[40:0:-1]


def test_max_id_pages_backward_as_the_link_header_says(url: str) -> None:
    found, address = [], f"{PUBLIC}?limit=40"
    while page := (answer := get(url, address)).json():
        found += [int(each["id"]) for each in page]
        address = PUBLIC + "?" + answer.links["next"]["url"].partition("?")[2] + "&limit=40"
    assert found == everything()[::-1]
    assert "min_id=" in get(url).links["prev"]["url"]


def test_a_tag_has_the_posts_with_it_in_any_spelling(url: str) -> None:
    tagged = [post for post in map(Posts(WHOLE).at, range(300)) if post.has("nowplaying")]
    assert len(tagged) > 3
    assert set(ids(url, "/api/v1/timelines/tag/NOWPLAYING", limit=40)) == {post.id for post in tagged}


def test_statuses_have_the_fields_of_the_wire(url: str) -> None:
    for each in get(url, limit=40).json():
        assert isinstance(each["id"], str) and each["content"].startswith("<p>")
        assert each["visibility"] == "public" and each["account"]["url"].startswith("https://")
        assert datetime.fromisoformat(each["created_at"]).tzinfo
        assert int(each["id"]) >> 16 == datetime.fromisoformat(each["created_at"]).timestamp() * 1000


def test_statuses_by_id_in_bulk_and_alone(url: str) -> None:
    some = everything()[:20]
    found = httpx.get(url + "/api/v1/statuses", params={"id[]": [str(each) for each in [*some[:19], 5]]}, timeout=20)
    assert [int(each["id"]) for each in found.json()] == some[:19]
    assert get(url, f"/api/v1/statuses/{some[0]}").json()["id"] == str(some[0])
    assert get(url, "/api/v1/statuses/5").status_code == 404
    many = httpx.get(url + "/api/v1/statuses", params={"id[]": [str(each) for each in everything()[:21]]}, timeout=20)
    assert many.status_code == 422


def test_counters_only_grow() -> None:
    post = next(post for post in map(Posts(WHOLE).at, range(300)) if post.popularity > 50)
    seen = [status(post, post.created + minutes * 60_000_000)["favourites_count"] for minutes in (0, 5, 60, 1440)]
    assert seen[0] == 0
    assert seen == sorted(set(seen))


def test_the_limit_is_told_and_kept() -> None:
    with running(replace(WHOLE, limit=3)) as (url, instance):
        answers = [get(url) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0", "0"]
    ahead = datetime.fromisoformat(answers[0].headers["X-RateLimit-Reset"]) - datetime.now(UTC)
    assert timedelta(seconds=280) < ahead <= timedelta(seconds=300)
    assert instance.calls["forbidden"] == 2


@pytest.mark.parametrize(
    ("fault", "code"), [({"too_many": 1.0}, 429), ({"broken_answers": 1.0}, 500), ({"unauthorized": 1.0}, 401)]
)
def test_faults_on_request(fault: dict, code: int) -> None:
    with running(replace(WHOLE, **fault)) as (url, _):
        assert get(url).status_code == code


def test_empty_lists_repeats_and_any_order() -> None:
    with running(replace(WHOLE, empty=1.0)) as (url, _):
        assert get(url).json() == []
    with running(replace(WHOLE, duplicates=0.5, reorder=True)) as (url, _):
        page = ids(url, limit=40)
    assert set(page) == set(everything()[-40:])
    assert len(page) > 40 and page != sorted(page)


def test_a_token_is_wanted_where_one_is_set() -> None:
    with running(replace(WHOLE, token="hush")) as (url, _):
        assert get(url).status_code == 401
        assert httpx.get(url + PUBLIC, headers={"Authorization": "Bearer hush"}, timeout=20).status_code == 200
        with pytest.raises(websocket.WebSocketBadStatusException):
            websocket.create_connection(f"ws{url[4:]}/api/v1/streaming?stream=public", timeout=20)


def test_same_options_same_posts_and_sites_differ_in_ids_alone() -> None:
    posts, again = Posts(WHOLE), Posts(replace(WHOLE))
    other, seeded = Posts(replace(WHOLE, site=1)), Posts(replace(WHOLE, seed=6))
    assert [posts.at(n) for n in range(50)] == [again.at(n) for n in range(50)]
    assert [posts.at(n).html for n in range(50)] != [seeded.at(n).html for n in range(50)]
    assert [posts.at(n).uri for n in range(50)] == [other.at(n).uri for n in range(50)]
    assert not {posts.at(n).id for n in range(50)} & {other.at(n).id for n in range(50)}


def frames(url: str, count: int, query: str = "stream=public") -> list[dict]:
    socket = websocket.create_connection(f"ws{url[4:]}/api/v1/streaming?{query}", timeout=20)
    try:
        return [json.loads(socket.recv()) for _ in range(count)]
    finally:
        socket.close()
        socket.shutdown()


def test_the_stream_tells_what_happens() -> None:
    live = Community(seed=5, rate=20, count=300, speed=30, edited=0.5, deleted=0.5)
    with running(live) as (url, _):
        found = frames(url, 480)
    kinds = Counter(frame["event"] for frame in found)
    assert set(kinds) == {"update", "status.update", "delete"}
    assert all(frame["stream"] == ["public"] for frame in found)
    for frame in found:
        if frame["event"] == "delete":
            assert frame["payload"].isdigit()
        else:
            assert bool(json.loads(frame["payload"])["edited_at"]) == (frame["event"] == "status.update")


def test_a_hashtag_stream_has_that_hashtag_alone() -> None:
    with running(Community(seed=5, rate=200, count=6000, speed=10, tagged=1.0, deleted=0.0)) as (url, _):
        found = frames(url, 10, "stream=hashtag&tag=nowplaying")
    assert all("nowplaying" in [tag["name"] for tag in json.loads(frame["payload"])["tags"]] for frame in found)


def test_the_truth_is_what_pages_show(url: str) -> None:
    shown, after = [], 0
    while page := get(url, min_id=after, limit=40).json():
        shown += page
        after = int(page[0]["id"])
    counted: Counter[tuple[str, str]] = Counter()
    for each in shown:
        words = {fold(tag["name"]) for tag in each["tags"]}
        counted.update((each["created_at"][:16], word) for word in words)
    summary, *lines = truth(WHOLE, 300)
    tags = [line for line in lines if "hashtag" in line]
    assert {(line["window_start"][:16], line["hashtag"]): line["posts"] for line in tags} == counted
    assert (summary["creates"], summary["deletes"], summary["malformed"]) == (300, 0, 0)
    assert summary["updates"] >= sum(each["edited_at"] is not None for each in shown) > 0


def page(url: str, after: int = 0) -> list[dict]:
    shown = []
    while found := get(url, min_id=after, limit=40).json():
        shown += found
        after = int(found[0]["id"])
    return shown


def test_the_truth_of_each_analysis_is_what_pages_show(url: str) -> None:
    shown, lines = page(url), [line for line in truth(WHOLE, 300) if "analysis" in line]
    told = {(line["analysis"], line["window_start"][:19], line.get("language") or line.get("author")): line["posts"]
            for line in lines if line["analysis"] in ("languages", "authors", "counts")}  # fmt: skip
    counted: Counter[tuple] = Counter()
    for each in shown:
        minute, ten = each["created_at"][:16] + ":00", each["created_at"][:18] + "0"
        counted["languages", minute, each["language"] or "und"] += 1
        counted["authors", minute, each["account"]["url"]] += 1
        counted["counts", ten, None] += 1
    assert told == counted
    posts = {line["id"]: line for line in lines if line["analysis"] == "posts"}
    assert posts.keys() == {each["uri"] for each in shown}
    for each in shown:
        post = posts[each["uri"]]
        assert (post["author"], post["bot"]) == (each["account"]["url"], each["account"]["bot"])
        assert (post["language"], post["edited"]) == (each["language"], each["edited_at"] is not None)
        assert post["hashtags"] == sorted({fold(tag["name"]) for tag in each["tags"]})
    [first, *_] = [line for line in lines if line["analysis"] == "dashboard"]
    start = [each for each in shown if each["created_at"][:16] == first["window_start"][:16]]
    assert first["posts"] == len(start)
    assert first["authors"] == len({each["account"]["url"] for each in start})
    assert first["bots"] == sum(each["account"]["bot"] for each in start) > 0
    used = Counter(each["language"] for each in start if each["language"])
    assert used[first["top_language"]] == max(used.values())


def test_counters_that_settle_are_told_by_the_truth() -> None:
    live = replace(WHOLE, count=200, deleted=0.2, speed=100, settled=150.0)
    posts = {line["id"]: line for line in truth(live, 200) if line.get("analysis") == "posts"}
    found = [post for post in map(Posts(live).at, range(200)) if not post.broken]
    assert (
        {post.uri for post in found if post.deleted != float("inf")}
        == {uri for uri, line in posts.items() if line["engagement_score"] is None}
        != set()
    )
    for post in found:
        early, late = (status(post, post.created + age * 1_000_000) for age in (149, 151))
        assert (early["favourites_count"], late["favourites_count"]) == (0, post.popularity)
        line = posts[post.uri]
        if not line["deleted"]:
            assert [line[name] for name in ("replies", "reblogs", "favourites")] == [
                late[f"{name}_count"] for name in ("replies", "reblogs", "favourites")
            ]
            assert line["engagement_score"] == (
                3 * late["replies_count"] + 2 * late["reblogs_count"] + late["favourites_count"]
            )


def test_wrong_values_are_named() -> None:
    with pytest.raises(ConfigError, match="--edited"):
        Community(edited=2.0)
    with pytest.raises(ConfigError, match="--settled"):
        Community(settled=0.0)
    with pytest.raises(ConfigError, match="--limit"):
        Community(limit=0)


def test_moods_go_from_praise_to_complaints_and_come_again() -> None:
    community = Community(seed=5, rate=10, count=3_600, start=START, speed=0, tagged=0)
    praise = {text for good, _ in texts.FEELINGS.values() for text in good}
    complaints = {text for _, bad in texts.FEELINGS.values() for text in bad}
    told: list[Counter[str]] = [Counter() for _ in range(6)]  # a minute each
    for post in map(Posts(community).at, range(3_600)):
        text = post.plain.removeprefix("@user7 ").partition("\n")[0]
        told[post.index // 600].update(praise=text in praise, complaints=text in complaints)
    first, *_, last = told
    assert all(minute["praise"] > 3 * minute["complaints"] for minute in (first, last))
    assert all(minute["complaints"] > minute["praise"] for minute in told[2:4])
