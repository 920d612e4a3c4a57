"""Text and numbers out of the data, as pages show them."""

import re

import numpy as np

_MARKUP = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: str) -> str:
    """Return `text` so that Markdown shows it as it is: no markup, HTML, links, formulas or emoji by name."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def number(value: float) -> str:
    """Return a price or volume with its thousands apart and without an exponent: of what is small, six digits."""
    if abs(value) >= 100:
        return f"{value:,.2f}".removesuffix(".00")
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")
