"""A status as post.v1: fields, times, HTML, boosts, edits; plans; ids; what is remembered."""

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace import config
from millrace.errors import BadRecord, ConfigError
from millrace.ingest.events import SECOND
from millrace.ingest.mastodon.html import plain_text
from millrace.ingest.mastodon.memory import Memory
from millrace.ingest.mastodon.plan import Plan, read
from millrace.ingest.mastodon.snowflakes import id_at, order, time_of
from millrace.ingest.mastodon.statuses import Writer

NOW = 1_783_175_900 * SECOND
WRITER = Writer("https://one.example")


def status(**fields: object) -> dict:
    account = {"id": "7", "username": "ada", "acct": "ada@two.example", "display_name": "Ada", "bot": True}
    usual = {
        "id": "116873414000000000",
        "uri": "https://two.example/users/ada/statuses/1",
        "url": "https://two.example/@ada/1",
        "created_at": "2026-07-04T14:38:07.323Z",
        "edited_at": None,
        "content": "<p>Hi</p>",
        "visibility": "public",
        "language": "en",
        "reblog": None,
        "tags": [{"name": "News", "url": "x"}],
        "replies_count": 1,
        "reblogs_count": 2,
        "favourites_count": 3,
        "account": account | {"url": "https://two.example/@ada"},
    }
    return usual | fields


def shown(document: dict, writer: Writer = WRITER) -> list[dict]:
    return [json.loads(event.value) for event in writer.shown(document, NOW)]


def test_every_field() -> None:
    (post,) = shown(status())
    assert post == {
        "id": "https://two.example/users/ada/statuses/1",
        "event_id": "https://two.example/users/ada/statuses/1/create",
        "source_id": "116873414000000000",
        "source": "mastodon",
        "instance": "one.example",
        "event_time": "2026-07-04T14:38:07.323000Z",
        "created_at": "2026-07-04T14:38:07.323000Z",
        "observed_at": "2026-07-04T14:38:20.000000Z",
        "author": {"id": "https://two.example/@ada", "username": "ada", "name": "Ada", "bot": True},
        "text": "Hi",
        "language": "en",
        "hashtags": ["news"],
        "replies": 1,
        "reblogs": 2,
        "favourites": 3,
        "visibility": "public",
        "url": "https://two.example/@ada/1",
        "operation": "create",
    }


def test_no_language_stays_none_and_hashtags_fall_back_to_the_text() -> None:
    (post,) = shown(status(language=None, tags=[], content="<p>so #Foo and &#35;Bär #1</p>"))
    assert (post["language"], post["hashtags"]) == (None, ["foo", "bär"])


def test_an_edited_post_is_a_create_and_an_update() -> None:
    created, edited = shown(status(edited_at="2026-07-04T14:38:10.999Z"))
    assert (created["operation"], created["event_time"]) == ("create", "2026-07-04T14:38:07.323000Z")
    assert (edited["operation"], edited["event_time"]) == ("update", "2026-07-04T14:38:10.999000Z")
    assert edited["event_id"].endswith("/update/2026-07-04T14:38:10")
    assert WRITER.edited(status(), NOW) == []


def test_a_boost_is_the_post_that_it_is_of() -> None:
    inner = status(id="5", uri="https://three.example/1")
    (post,) = shown(status(reblog=inner, content="", tags=[]))
    assert (post["id"], post["source_id"], post["text"]) == ("https://three.example/1", "5", "Hi")


def test_only_public_posts_unless_asked() -> None:
    assert shown(status(visibility="unlisted")) == []
    assert shown(status(reblog=status(visibility="private"))) == []
    asked = Writer("https://one.example", {"public", "unlisted"}, keep_raw=True)
    (post,) = shown(status(visibility="unlisted"), asked)
    assert post["visibility"] == "unlisted"
    assert json.loads(post["raw"]) == status(visibility="unlisted")


def test_times_far_ahead_are_clamped_and_old_ones_kept() -> None:
    (ahead,) = shown(status(created_at="2036-01-01T00:00:00Z"))
    (old,) = shown(status(created_at="2016-11-23T10:00:00Z"))
    assert ahead["event_time"] == "2026-07-04T14:43:20.000000Z"
    assert old["event_time"] == "2016-11-23T10:00:00.000000Z"


def test_metrics_and_deletes_are_of_the_moment_they_were_seen() -> None:
    (event,) = WRITER.looked_up(status(), NOW - 5 * SECOND, NOW)
    metrics, gone = json.loads(event.value), json.loads(WRITER.deleted("5", "https://x/1", NOW).value)
    assert (metrics["operation"], metrics["event_id"][-28:]) == ("metrics", "/metrics/2026-07-04T14:38:15")
    assert metrics["event_time"] == metrics["observed_at"] == "2026-07-04T14:38:20.000000Z"
    assert (gone["operation"], gone["event_id"], gone["text"]) == ("delete", "https://x/1/delete", "")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"uri": 5}, "uri"), ({"uri": None}, "uri"), ({"uri": "a\0"}, "uri"), ({"id": ""}, "id"), ({"id": True}, "id"),
     ({"created_at": "yesterday"}, "created_at"), ({"created_at": 5}, "created_at"), ({"created_at": ""}, "created_at"),
     ({"created_at": "9999-12-31T23:59:59-05:00"}, "created_at"), ({"created_at": "1969-12-31T23:59:59Z"}, "1970"),
     ({"reblog": {"uri": "https://x/1"}}, "id")],
)  # fmt: skip
def test_what_does_not_identify_and_date_a_post_is_refused(wrong: dict, reason: str) -> None:
    with pytest.raises(BadRecord, match=reason):
        WRITER.shown(status(**wrong), NOW)


def test_an_edit_without_its_time_is_refused_alone() -> None:
    assert [post["operation"] for post in shown(status(edited_at="soon"))] == ["create"]
    assert WRITER.edited(status(edited_at=""), NOW) == []
    with pytest.raises(BadRecord, match="edited_at"):
        WRITER.edited(status(edited_at="soon"), NOW)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain", "plain"),
        ("<p>a &amp;amp; b &lt;i&gt;</p>", "a &amp; b <i>"),
        ("<p>one<br>two<br />three</p><p>four</p>", "one\ntwo\nthree\n\nfour"),
        ("<p>a\n b</p>\n<p>c</p>", "a b\n\nc"),
        ('<a href="x"><span class="invisible">https://</span><span class="ellipsis">e.org/a</span>'
         '<span class="invisible">bc</span></a>', "e.org/a"),
        ('<span class="h-card"><a class="u-url mention">@<span>ada</span></a></span> ok', "@ada ok"),
        ('<a class="mention hashtag">#<span>Tag</span></a>', "#Tag"),
        ("<script>alert(1)</script><style>p{}</style>x", "x"),
        ('<span class="invisible">a<script>b</script><span class="invisible">c</span></span>d', "d"),
        ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
        ("<pre>a\n  b</pre>", "a\nb"),
        ("", ""),
    ],
)  # fmt: skip
def test_html_is_what_people_see(html: str, text: str) -> None:
    assert plain_text(html) == text


@given(st.text())
def test_any_text_is_some_text(text: str) -> None:
    assert isinstance(plain_text(text), str)


def test_ids_are_times_where_they_are_numbers() -> None:
    assert time_of("103270115826048975") == 1_575_776_913_849_000 or time_of("103270115826048975") // SECOND > 0
    assert time_of(id_at(NOW)) == NOW
    assert time_of("01HXYZ") is None
    assert time_of("5") is None
    assert max("99", "100", key=order) == "100"


def test_the_options_of_the_command_line_make_a_plan() -> None:
    plan = read(instances=["https://a.example/", "https://a.example"], tags=["#News", "a b"], revisit="24h,5m,1h")
    assert plan.instances == ("https://a.example",)
    assert plan.paths == ["tag/News", "tag/a%20b"]
    assert plan.revisit == (300.0, 3600.0, 86_400.0)
    assert read(instances=["https://a.example"], stream="public:local").paths == ["local"]
    assert read(instances=["https://a.example"], every="500ms" if False else "0.5s").every == 0.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"instances": ["mastodon.social"]}, "--instance"),
        ({"instances": ["https://a"], "stream": "firehose"}, "--stream is public"),
        ({"instances": ["https://a"], "stream": "hashtag"}, "needs a --tag"),
        ({"instances": ["https://a"], "stream": "public", "tags": ["x"]}, "--tag goes with"),
        ({"instances": ["https://a"], "every": "soon"}, "--every"),
        ({"instances": ["https://a"], "every": "0s"}, "--every"),
        ({"instances": ["https://a"], "visibilities": ["all"]}, "--visibility"),
        ({"instances": ["https://a"], "tags": ["x"], "local": True}, "--local goes with neither"),
        ({"instances": ["https://a"], "stream": "public", "local": True}, "--local goes with neither"),
        ({"instances": ["https://a"], "stream": "hashtag", "tags": ["x"], "local": True}, "--local goes with neither"),
        ({"instances": ["https://a"], "stream": "public", "every": "3s"}, "--every is for polling"),
    ],
)
def test_wrong_options_are_named(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(**options)


def test_secrets_under_all_their_names_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MILLRACE_MASTODON_ACCESS_TOKEN", "MASTODON_ACCESS_TOKEN", "ACCESS_TOKEN"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "hush")
            settings = config.load()
        assert settings.mastodon_access_token is not None
        assert settings.mastodon_access_token.get_secret_value() == "hush"
        assert "hush" not in repr(settings)


def test_memory_tells_what_is_due_once() -> None:
    timer = [100.0]
    memory = Memory([300, 3600], lambda: timer[0])
    for _ in range(2):
        memory.add("5", "https://x/5", NOW, NOW)
    timer[0] += 299
    assert memory.take(20) == []
    timer[0] += 1
    assert memory.take(20) == [(NOW + 300 * SECOND, "5")]
    assert memory.take(20) == []
    memory.put_back([(NOW + 300 * SECOND, "5")])
    timer[0] += 3600
    assert len(memory.take(20)) == 2
    memory.add("6", "https://x/6", NOW - 7200 * SECOND, NOW)  # long overdue
    assert memory.take(20) == []
    assert memory.between(order("4"), order("5")) == ["5"]
    assert replace(Plan(("https://a",)), every=1.0).every < time.time()


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a<br></p>b", "a\n\nb"),
        ("<li>a<li>b", "a\nb"),
        ("<ul><li>a<br></li> <li>b</li></ul>c", "a\nb\n\nc"),
        ('<p title="a > b">x</p>', "x"),
        ("<P CLASS=X>a</P><Br/>b", "a\n\nb"),
        ("a < b <3 </ x", "a < b <3"),
        ("a<!-- <p>x</p> -->b<!doctype html>c<?x?>d", "abcd"),
        ("a<p", "a"),
        ('<span class="a invisible">x</span>y', "y"),
        ("<span class='invisible'>x<span>y</span>z</span>w", "w"),
        ('<p><span class="invisible">x</p>y', "y"),
        ('<div class="invisible"><p>x</p></div>y', "y"),
        ('<img class="invisible" src=x>y', "y"),
        ("<span title=\" class='invisible'\">x</span>", "x"),
        ("<span title=invisible>x</span>", "x"),
        ("<script>if (a < b) '</p>'</script>x", "x"),
        ("<script>x", ""),
        ("&#x41;&#000065;&#99999999999;&eacute;&nosuch;&amp", "AA\ufffdé&nosuch;&"),
        ("&#" + "9" * 5000 + ";", "\ufffd"),
        ("<pre>a" + " " * 40_000 + "b</pre>", "a" + " " * 40_000 + "b"),
        ("<p>a\n\n\n b</p>", "a b"),
    ],
)
def test_html_as_nobody_should_write_it(html: str, text: str) -> None:
    assert plain_text(html) == text
