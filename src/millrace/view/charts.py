"""Charts as Vega-Lite specifications, to which the data comes apart: a refresh moves marks and draws nothing anew.

Blue and orange tell rise from fall to eyes that red and green do not, on light and on dark; falling candles are hollow,
too. Text out of the data is drawn as text: Vega knows no markup.
"""

from typing import Any

RISE, FALL = "#2a87d0", "#d9660a"  # 3:1 and more on white and on near black
CLOCK = """utcFormat(datum.value, utcseconds(datum.value) ? '%H:%M:%S'
    : utchours(datum.value) + utcminutes(datum.value) ? '%H:%M' : '%b %d')"""
FEW = {"labelOverlap": True, "tickCount": {"expr": "ceil(width / 100)"}}  # labels that do not touch, on a phone either
TIMES = {"type": "temporal", "scale": {"type": "utc"}, "axis": FEW | {"title": "UTC", "labelExpr": CLOCK}}
SHORT = r"replace(datum.label, /^https?:\/\//, '')"
MARGIN = 64  # pixels left of the plots, so that one time is in one place in both charts of candles
Spec = dict[str, Any]


def candles(symbol: str) -> Spec:
    """Candles, of the columns of `market.drawn`; pale where trades may be missing."""
    time = {"field": "middle", **TIMES, "axis": FEW | {"title": None, "labels": False}}  # those below are for both
    tips = _tips("window_start", "open", "high", "low", "close", "volume", "trades")
    color = {"field": "up", "type": "nominal", "legend": None,
             "scale": {"domain": [True, False], "range": [RISE, FALL]}}  # fmt: skip
    shared: Spec = {
        "x": time,
        "color": color,
        "opacity": {"field": "complete", "type": "nominal", "legend": None,
                    "scale": {"domain": [True, False], "range": [1, 0.45]}},
        "tooltip": tips,
    }  # fmt: skip
    price = {"type": "quantitative", "scale": {"zero": False}, "title": "price", "axis": {"minExtent": MARGIN}}
    hollow = {"condition": {"test": "datum.up", "value": 1}, "value": 0}
    return {
        "description": f"Candles of {symbol}",
        "height": 320,
        "layer": [
            {"mark": "rule", "encoding": shared | {"y": {"field": "low", **price}, "y2": {"field": "body_low"}}},
            {"mark": "rule", "encoding": shared | {"y": {"field": "body_high", **price}, "y2": {"field": "high"}}},
            {
                "mark": {"type": "bar", "strokeWidth": 1.5},
                "encoding": shared
                | {"x": time | {"field": "left"}, "x2": {"field": "right"}, "y": {"field": "open", **price}}
                | {"y2": {"field": "close"}, "stroke": color, "fillOpacity": hollow},
            },
        ],
    }


def volume(symbol: str) -> Spec:
    """Volume bars below `candles`, of the same columns."""
    return {
        "description": f"Volume of {symbol}",
        "height": 150,
        "mark": "bar",
        "encoding": {
            "x": {"field": "left", **TIMES},
            "x2": {"field": "right"},
            "y": {"field": "volume", "type": "quantitative", "axis": {"minExtent": MARGIN, "tickCount": 3}},
            "y2": {"datum": 0},
            "color": {"value": "#7f8c9b"},
            "tooltip": _tips("window_start", "volume", "trades"),
        },
    }


def line(description: str, *names: str) -> Spec:
    """Lines over window_start, one for each of the columns `names`, told apart by dashes, too."""
    which: Spec = {"field": "which", "type": "nominal", "legend": None}
    if len(names) > 1:
        which["legend"] = {"orient": "top", "title": None, "symbolType": "stroke", "symbolSize": 400,
                           "labelExpr": "replace(datum.label, '_', ' ')"}  # fmt: skip
    several = {"domain": list(names)}
    return {
        "description": description,
        "height": 300,
        "transform": [{"fold": list(names), "as": ["which", "value"]}],
        "mark": {"type": "line", "interpolate": "monotone", "point": {"size": 18}},
        "encoding": {
            "x": {"field": "window_start", **TIMES},
            "y": {"field": "value", "type": "quantitative", "title": None},
            "color": which | {"scale": several | {"range": [RISE, FALL]}},
            "strokeDash": which | {"scale": several | {"range": [[1, 0], [4, 2]]}},
            "tooltip": _tips("window_start", *names),
        },
    }


def bars(description: str, name: str) -> Spec:
    """Horizontal bars of column posts for each value of column `name`, most first."""
    return {
        "description": description,
        "height": {"step": 22},
        "mark": {"type": "bar", "color": RISE, "cornerRadiusEnd": 2},
        "encoding": {
            "y": {
                "field": name,
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelLimit": 160, "labelExpr": SHORT},
            },
            "x": {"field": "posts", "type": "quantitative", "title": "posts in the last hour", "axis": FEW},
            "tooltip": [{"field": name}, {"field": "posts"}, {"field": "share", "format": ".1%"}],
        },
    }


def shares(description: str) -> Spec:
    """Stacked bars of columns share and label over window_start, positive at the bottom; grey is neutral."""
    domain, colours = ["positive", "neutral", "negative"], [RISE, "#9aa5b1", FALL]
    order = "indexof(['positive', 'neutral', 'negative'], datum.label)"
    return {
        "description": description,
        "height": 340,
        "transform": [
            {"calculate": order, "as": "order"},
            {"calculate": "datum.window_start + 60000", "as": "window_end"},
            {"stack": "share", "groupby": ["window_start"], "sort": [{"field": "order"}], "as": ["low", "high"]},
        ],
        "mark": "rect",
        "encoding": {
            "x": {"field": "window_start", **TIMES},
            "x2": {"field": "window_end"},
            "y": {"field": "low", "type": "quantitative", "title": None,
                  "scale": {"domain": [0, 1]}, "axis": {"format": "%"}},
            "y2": {"field": "high"},
            "color": {"field": "label", "type": "nominal", "scale": {"domain": domain, "range": colours},
                      "legend": {"orient": "top", "title": None}},
            "tooltip": [*_tips("window_start", "label"), {"field": "share", "format": ".1%"}],
        },
    }  # fmt: skip


def _tips(*names: str) -> list[Spec]:
    when = {"field": "window_start", "type": "temporal", "format": "%Y-%m-%d %H:%M:%S", "title": "UTC"}
    return [when | {"scale": {"type": "utc"}} if name == "window_start" else {"field": name} for name in names]
