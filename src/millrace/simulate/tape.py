"""How trades stand on Finnhub's wire, and ways of being broken that no reader may accept."""

import json

from millrace.simulate import broken
from millrace.simulate.market import Trade

PING = b'{"type":"ping"}'
WHOLE: dict[str, broken.Break] = broken.WHOLE | {
    "no data": lambda _: b'{"type":"trade"}',
    "data of words": lambda _: b'{"data":"soon","type":"trade"}',
    "unknown type": lambda _: b'{"data":[],"type":"dividend"}',
    "not a number": lambda frame: frame.replace(b'"p":', b'"p":NaN,"q":'),
    "deep": lambda frame: frame.replace(b'"p":', b'"p":' + broken.NESTED + b',"q":'),
}
WITHIN: dict[str, dict[str, bytes | None]] = {
    "no price": {"p": None},
    "price of words": {"p": b'"much"'},
    "huge price": {"p": b"1e400"},
    "price of null": {"p": b"null"},
    "price of 0": {"p": b"0"},
    "price that rounds to 0": {"p": b"0.00000000004"},
    "negative price": {"p": b"-37.63"},
    "negative volume": {"v": b"-1"},
    "no symbol": {"s": None},
    "symbol of numbers": {"s": b"17"},
    "another symbol": {"s": b'"NOT:ASKED"'},
    "hostile symbol": {"s": b'"x\'); DROP TABLE candles;--"'},
    "seconds for milliseconds": {"t": b"1783175900"},
    "time of words": {"t": b'"soon"'},
    "invalid UTF-8": {"c": b'["\xff\xfe"]'},
}


def message(trades: list[Trade], start: int) -> bytes:
    """Return the message of `trades`; `start` is the time of the first trade of the market, in milliseconds."""
    [first, *_] = trades
    if first.lone and first.broken is not None:
        return list(WHOLE.values())[first.broken % len(WHOLE)](_together([_encode(first, start)]))
    return _together([_encode(each, start) for each in trades])


def error(text: str) -> bytes:
    """Return an error message."""
    return json.dumps({"msg": text, "type": "error"}).encode()


def _together(trades: list[bytes]) -> bytes:
    return b'{"data":[' + b",".join(trades) + b'],"type":"trade"}'


def _encode(trade: Trade, start: int) -> bytes:
    fields: dict[str, bytes | None] = {
        "c": json.dumps(trade.conditions).encode() if trade.told else None,
        "p": trade.price.encode(),
        "s": json.dumps(trade.symbol).encode(),
        "t": str(start + trade.time).encode(),
        "v": trade.volume.encode(),
    }
    if trade.broken is not None and not trade.lone:
        fields |= list(WITHIN.values())[trade.broken % len(WITHIN)]
    return b"{" + b",".join(f'"{name}":'.encode() + value for name, value in fields.items() if value is not None) + b"}"
