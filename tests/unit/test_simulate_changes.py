"""People who change tables: the same again by their seed, every kind of change, and never a key that is not there."""

from itertools import chain, islice

import pytest

from millrace.errors import Unavailable
from millrace.simulate.changes import ROWS, TABLES, People, change


def transactions(seed=1, count=4_000):
    return [[(statement.as_string(None), values) for statement, values in each]
            for each in islice(People(seed).transactions(), count)]  # fmt: skip


def test_a_seed_tells_the_same_again():
    assert transactions(seed=7, count=200) == transactions(seed=7, count=200)
    assert transactions(seed=7, count=200) != transactions(seed=8, count=200)


def test_statements_fit_the_rows_that_there_are():
    """Each touches one row; the tables neither run empty nor grow; some transactions are over both tables."""
    tables = {f'"public"."{table}"': set() for table in TABLES}
    kinds = set()
    for statement, values in chain.from_iterable(transactions()):
        words = statement.split()
        keys = tables[words[{"INSERT": 2, "DELETE": 2, "UPDATE": 1}[words[0]]]]
        kind = words[0] if words[0] != "UPDATE" else statement.partition(" SET ")[2].split()[0]
        kinds.add(kind)
        if kind == "INSERT":
            assert values[0] not in keys
            keys.add(values[0])
        elif kind in ("DELETE", "id"):
            keys.remove(values[-1])
            keys |= {values[0]} if kind == "id" else set()
        else:
            assert values[-1] in keys
    assert kinds == {"INSERT", "DELETE", "id", '"name"', '"value"'}
    assert all(ROWS / 2 < len(keys) < ROWS * 2 for keys in tables.values())
    both = [each for each in transactions() if len(each) > 1]
    assert 0.05 < len(both) / 4_000 < 0.25


def test_a_server_that_is_away_is_told_without_the_password():
    with pytest.raises(Unavailable) as told:
        change("postgresql://u:hush@127.0.0.1:1/d", lambda _: True)
    assert "hush" not in str(told.value)
