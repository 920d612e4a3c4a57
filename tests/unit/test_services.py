"""What the demo and the doctor find out about live services, against the doubles."""

import pytest
from pydantic import SecretStr

from millrace import config, doctor
from millrace.config import Settings
from millrace.demo import services as reach
from millrace.simulate import bluesky, mastodon, tweets
from millrace.simulate.community import Community
from millrace.simulate.scenario import Scenario
from millrace.simulate.talk import Talk

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("CLIENT_KEY", "CLIENT_SECRET", "ACCESS_TOKEN"):
        monkeypatch.delenv(f"MASTODON_{name}", raising=False)
        monkeypatch.delenv(name, raising=False)


def test_jetstream():
    with bluesky.running(Scenario(count=1)) as url:
        assert reach.jetstream(["ws://127.0.0.1:1", url]) == ""
    assert "refused" in reach.jetstream(["ws://127.0.0.1:1"])


def test_a_generator_of_tweets_is_not_read():
    """Its first reader hears all from the start: to look whether it is there must not take that from the adapter."""
    with tweets.running(Talk(count=3, speed=0)) as (url, generator):
        assert reach.listener(url) == ""
        assert not [line for line in list(generator.lines())[1:] if line["sent"]]
    assert "refused" in reach.listener("ws://127.0.0.1:1")
    assert reach.listener("ws://127.0.0.1:99999") != ""


def test_an_instance_that_is_open():
    with mastodon.running(Community(count=5, speed=0)) as (url, _):
        assert reach.instance(url) == ""
        assert reach.instance(url + "/") == ""
    assert reach.instance(NOWHERE) == "ConnectError"


@pytest.mark.parametrize(
    ("community", "token", "reason"),
    [
        ({"count": 0}, None, "empty"),
        ({"closed": True}, None, "empty"),
        ({"token": "right"}, None, "needs an access token"),
        ({"token": "right"}, "wrong", "not accepted"),
        ({"token": "right"}, "right", ""),
        ({"broken_answers": 1.0}, None, "HTTP status 500"),
    ],
)
def test_why_an_instance_cannot_be_read(community, token, reason):
    with mastodon.running(Community(**{"count": 5, "speed": 0, **community})) as (url, _):
        found = reach.instance(url, SecretStr(token) if token else None)
    assert (reason in found) if reason else found == ""


def findings(**settings):
    loaded: Settings = config.load(**settings)
    return {finding.subject: finding for finding in doctor._mastodon(loaded)}


def test_the_doctor_knows_tokens_and_instances():
    with mastodon.running(Community(token="hush", count=5, speed=0)) as (url, _):
        name = url.partition("//")[2]
        without = findings(mastodon_url=url)
        good = findings(mastodon_url=url, mastodon_access_token="hush", mastodon_client_key="k")
        bad = findings(mastodon_url=f"{url},{NOWHERE}", mastodon_access_token="secret")
    assert "access_token absent" in without["mastodon token"].found
    assert "docs/mastodon.md" in without["mastodon token"].advice
    assert not without[f"mastodon {name}"].good
    assert good["mastodon token"].found == "access_token present, client_key present, client_secret absent"
    assert all(finding.good and not finding.advice for finding in good.values())
    assert "the access token is not accepted" in bad[f"mastodon {name}"].found
    assert not bad["mastodon 127.0.0.1:1"].good
    assert "secret" not in "".join(map(str, bad.values())).replace("client_secret", "")


def test_the_doctor_knows_whether_there_is_a_token_of_finnhub(monkeypatch):
    monkeypatch.delenv("FINNHUB_TOKEN", raising=False)
    absent = doctor._finnhub(config.load())
    present = doctor._finnhub(config.load(finnhub_token="hush"))
    assert (absent.found, present.found) == ("absent", "present")
    assert "docs/finnhub.md" in absent.advice and not present.advice
    assert "hush" not in str(present)


def test_the_doctor_does_not_complain_where_nobody_set_an_instance(monkeypatch):
    monkeypatch.setattr(config, "MASTODON_HOSTS", NOWHERE)
    [_, instance] = findings(mastodon_url=NOWHERE).values()
    assert instance.good and "cannot be read" in instance.found and "simulator" in instance.advice
