from argparse import ArgumentParser, ArgumentTypeError
from decimal import Decimal

import pytest

from millrace.applications import candles as stocks


def test_help_speaks_of_trades():
    parser = ArgumentParser()
    stocks.CANDLES.add(parser)
    assert "how late a trade may be" in parser.format_help()


@pytest.mark.parametrize(("text", "part"), [("5%", "0.05"), ("5", "0.05"), ("0.5 %", "0.005"), ("100", "1")])
def test_a_share_is_a_percentage(text, part):
    assert stocks.share(text) == Decimal(part)


@pytest.mark.parametrize("text", ["foo", "nan", "snan", "inf", "-inf", "", "%", "0", "-5%", "101%"])
def test_no_share(text):
    with pytest.raises(ArgumentTypeError, match="is no percentage between 0 and 100"):
        stocks.share(text)
