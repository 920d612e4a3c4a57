"""Trade conditions: what a trade that is not a plain one may change in its candle.

As on the consolidated tape of US equities: what is settled later, priced by agreement or an odd lot counts as volume
and says nothing about the market's price; what was reported late moves high and low, not open and close; an official
print repeats trades that were counted. A trade with several conditions changes what all of them allow; a code that is
not in the table, and a trade without any, changes everything. One departure: trades outside regular hours (24, Form T)
change prices, or there would be no candles before the opening.

The codes are those of Finnhub's stock trades; crypto and forex trades carry none.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple


class Rule(NamedTuple):
    """What a trade changes; whatever moves open and close moves high and low, too."""

    open_close: bool
    high_low: bool
    volume: bool


ALL = Rule(open_close=True, high_low=True, volume=True)
VOLUME = Rule(open_close=False, high_low=False, volume=True)
RANGE = Rule(open_close=False, high_low=True, volume=True)
PRICE = Rule(open_close=True, high_low=True, volume=False)
NOTHING = Rule(open_close=False, high_low=False, volume=False)

CONDITIONS: dict[str, tuple[str, Rule]] = {
    "1": ("regular", ALL),
    "3": ("average price", VOLUME),
    "5": ("cash sale", VOLUME),
    "8": ("intermarket sweep", ALL),
    "9": ("bunched, sold out of sequence", RANGE),
    "10": ("price variation", VOLUME),
    "12": ("odd lot", VOLUME),
    "16": ("official close of a market center", NOTHING),
    "17": ("next day", VOLUME),
    "20": ("official open of a market center", NOTHING),
    "21": ("prior reference price", RANGE),
    "22": ("seller", VOLUME),
    "24": ("outside regular hours (Form T)", ALL),
    "25": ("outside regular hours, out of sequence", VOLUME),
    "26": ("contingent", VOLUME),
    "30": ("sold out of sequence", RANGE),
    "32": ("derivatively priced", RANGE),
    "35": ("qualified contingent", VOLUME),
    "37": ("corrected consolidated close", PRICE),
}


@lru_cache(maxsize=4096)
def rule(conditions: tuple[str, ...]) -> Rule:
    """Return what a trade with these codes changes."""
    rules = [CONDITIONS[code][1] for code in conditions if code in CONDITIONS]
    return Rule(*(all(getattr(each, name) for each in rules) for name in Rule._fields))


def codes(change: str) -> Iterable[str]:
    """Return the codes of trades that do not change `change`, a field of Rule."""
    return [code for code, (_, its) in CONDITIONS.items() if not getattr(its, change)]
