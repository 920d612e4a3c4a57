import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace import names
from millrace.errors import ConfigError


@pytest.mark.parametrize(
    ("raw", "counted"),
    [("#News", "news"), ("ＮＥＷＳ", "news"), ("＃news", "news"), ("##news", "news"), ("STRASSE", "strasse"),
     ("straße", "strasse"), ("cafe\u0301", "café"), ("猫", "猫"), ("#", ""), ("  ", ""), ("x" * 400, "x" * 300),
     ("x" * 299 + " y", "x" * 299)],
)  # fmt: skip
def test_normalise_hashtag(raw, counted):
    assert names.normalise_hashtag(raw) == counted


@given(st.text())
def test_normalising_twice_changes_nothing(raw):
    once = names.normalise_hashtag(raw)
    assert names.normalise_hashtag(once) == once


def test_a_hashtag_counts_once_a_post():
    assert names.normalise_hashtags(["News", "#news", "", "cat"]) == ["news", "cat"]


@pytest.mark.parametrize(
    ("raw", "tag"),
    [("en", "en"), ("EN_us", "en-US"), ("en-US", "en-US"), (" DE ", "de"), ("zh_hant_tw", "zh-Hant-TW"),
     ("SR-LATN", "sr-Latn"),
     ("de-ch-1996", "de-CH-1996"), ("es-419", "es-419"), ("en-US-X-TWAIN-UK", "en-US-x-twain-uk"), ("gsw", "gsw"),
     ("", None), (None, None), ("und", None), ("UND", None), ("und-Latn", None), ("x-mine", None), ("e", None),
     ("en-", None), ("en US", None), ("en_US.UTF-8", None), ("日本", None), ("en\n", None), ("\u212aa", None),
     ("en-" + "a" * 9, None), ("en" + "-abc" * 16, None)],
)  # fmt: skip
def test_languages_are_written_as_bcp_47_does(raw, tag):
    assert names.language_tag(raw) == tag
    assert tag is None or names.language_tag(tag) == tag


@pytest.mark.parametrize("name", ["", "1a", "A", "a-b", "a; DROP TABLE t", "a" * 64, "é", "a\n"])
def test_identifier_refuses(name):
    with pytest.raises(ConfigError):
        names.identifier(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "x" * 250, "t\n", "`t`"])
def test_topic_name_refuses(name):
    with pytest.raises(ConfigError):
        names.topic_name(name)
    assert names.topic_name("Mastodon_stream-1.x") == "Mastodon_stream-1.x"


HOSTILE = ["", "x'); DROP TABLE candles;--", "../..", "A" * 300, "aapl", "🚀", "A B", "A\n", "^", ":", "A/B", "`A`"]
HOSTILE += [f"X:{name}" for name in (" ", "a ", " a", "a'b", 'a"b', "a`b", "a\\b", "a;b", "a%b", "a\nb",
                                     "a\tb", "a\0", "/", "../..", "<b>", "a{b}", "🚀", "a\u202eb", "a\u200bb",
                                     "x" * 63)]  # fmt: skip
HOSTILE += [" X:a", "x:a", "binance:btcusdt", "IC MARKETS:", "'X':a", "X/Y:a", "é:a"]


@pytest.mark.parametrize("name", HOSTILE)
def test_symbol_refuses(name):
    with pytest.raises(ConfigError):
        names.symbol(name)


@pytest.mark.parametrize(
    ("symbol", "topic", "view"),
    [
        ("BINANCE:BTCUSDT", "BINANCE_BTCUSDT", "binance_btcusdt"),
        ("BITNAMI:BTCUSD", "BITNAMI_BTCUSD", "bitnami_btcusd"),
        ("OANDA:EUR_USD", "OANDA_EUR_USD", "oanda_eur_usd"),
        ("BRK.B", "BRK_B", "brk_b"),
        ("M&M.NS", "M_M_NS", "m_m_ns"),
        ("IC MARKETS:1", "IC_MARKETS_1", "ic_markets_1"),
        ("HUOBI:btcusdt", "HUOBI_btcusdt", "huobi_btcusdt"),
        ("BITFINEX:tBTC:USD", "BITFINEX_tBTC_USD", "bitfinex_tbtc_usd"),
        ("FXCM:EUR/USD", "FXCM_EUR_USD", "fxcm_eur_usd"),
        ("FOREX.COM:UK 100 (Mini)", "FOREX_COM_UK_100__Mini_", "forex_com_uk_100__mini_"),
        ("BINANCE:币安人生USDT", "BINANCE_____USDT", "binance_____usdt"),
        ("OANDA:select", "OANDA_select", "oanda_select"),
        ("^GSPC", "_GSPC", "s__gspc"),
        ("3690.HK", "3690_HK", "s_3690_hk"),
        ("CANDLES", "CANDLES", "s_candles"),
        ("A" * 64, "A" * 64, "s_" + "a" * 61),
    ],
)
def test_a_symbol_has_a_topic_and_a_view(symbol, topic, view):
    assert names.topic_name(names.symbol_topic(symbol)) == topic
    assert names.symbol_view(symbol, taken={"candles"}) == view


def test_all_wrong_symbols_are_named_at_once_and_two_with_one_topic():
    with pytest.raises(ConfigError, match=r"'aapl'.*did you mean AAPL.*BRK.B and BRK_B would both be BRK_B"):
        names.symbol_topics(["aapl", "BRK.B", "BRK_B", "BRK.B"])
    assert names.symbol_topics(["BRK.B", "BRK.B"]) == {"BRK.B": "BRK_B"}
    for two in (["HUOBI:btcusdt", "HUOBI:BTCUSDT"], ["FXCM:EUR/USD", "FXCM:EUR USD"], ["IC MARKETS:1", "IC_MARKETS:1"]):
        with pytest.raises(ConfigError, match="would both be"):
            names.symbol_topics(two)
    with pytest.raises(ConfigError, match="did you mean BINANCE:BTCUSDT"):
        names.symbol("binance:btcusdt")


@given(st.text(st.sampled_from("AZaz09 .:_^=-&/+*#@$!()~|'\"`;%\\\n\té币"), max_size=70))
def test_whatever_a_symbol_is_its_topic_and_view_are_safe(name):
    try:
        names.symbol(name)
    except ConfigError:
        return
    assert name == name.strip() and name.isprintable() and not set(name) & set("'\"`;%\\")
    assert len(name) <= names.SYMBOL_LENGTH
    assert names.topic_name(names.symbol_topic(name))
    assert names.identifier(names.symbol_view(name, taken={"candles"}))
