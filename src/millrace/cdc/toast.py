"""Values that PostgreSQL stores out of line, and leaves out of changes that did not touch them.

Without REPLICA IDENTITY FULL such a value has to be remembered from the last change that carried it, which may come
later than the one that lacks it. So table `<table>__toast` keeps the values of all rows that are long enough to have
some out of line, by key and place, and the view takes the newest.

A row whose key was changed is new under its new key, without those values: `<table>__moved` says which key it had
before, and `settle` gives it what was newest there. A row that moved decides what its key has, known or not: values of
another row that had the key before are none of its own. All is counted in rounds: a batch and each step of its
settling are one, so that what is new is told from what was settled.
"""

from clickhouse_connect.driver.binding import format_str, quote_identifier

from millrace.cdc.replica import VERSION, Field, Replica

SHORT = 100  # characters of JSON; a row is 128 bytes at least before PostgreSQL moves anything out of it
NEWEST = "(s._version, s._settled)"
LACKS = "notEmpty(_unavailable)"
LACKING = "__lacking"  # the end of a view's name
MOVED = "old_key != '' AND notEmpty(unavailable)"


def _table(replica: Replica) -> str:
    return quote_identifier(names(replica)[0])


def _moved(replica: Replica) -> str:
    return quote_identifier(names(replica)[1])


def _keys(replica: Replica) -> list[Field]:
    return [field for field in replica.fields if field.key]


def _key(replica: Replica) -> str:
    return ", ".join(field.name for field in _keys(replica))


def _old(replica: Replica) -> list[str]:
    return [f"_old_{place}" for place, _ in enumerate(_keys(replica), 1)]


def create(replica: Replica) -> list[str]:
    """Return the statements that make both tables, and take over the values that storage has by then."""
    kept = [*_keys(replica), *replica.sparse]
    own = "_version UInt128, _unavailable Array(LowCardinality(String)), _round UInt64"
    columns = ", ".join([*(f"{field.name} {field.stored}" for field in kept), own])
    old = ", ".join(f"{name} {field.stored}" for name, field in zip(_old(replica), _keys(replica), strict=True))
    values = "_moved UInt8, _settled UInt64, INDEX _rounds _round TYPE minmax"  # the last settling is right
    order = f"ORDER BY ({replica.order}, _version)"
    return [
        f"CREATE TABLE IF NOT EXISTS {_table(replica)} ({columns}, {values})"
        f" ENGINE = ReplacingMergeTree(_settled) {order}",
        f"CREATE TABLE IF NOT EXISTS {_moved(replica)} ({columns}, {old}) ENGINE = ReplacingMergeTree(_round) {order}",
        f"INSERT INTO {_table(replica)} ({_names(replica)}) SELECT {_names(replica)} FROM {replica.storage} FINAL",
    ]


def drop(replica: Replica) -> list[str]:
    """Return the statements that remove both tables, where storage is made anew."""
    return [f"DROP TABLE IF EXISTS {table}" for table in (_table(replica), _moved(replica))]


def widen(replica: Replica) -> list[str]:
    """Return the statements that give both tables the columns of `replica` that are new or wider."""
    return [
        f"ALTER TABLE {table} {action} {field.definition}"
        for table in (_table(replica), _moved(replica))
        for field in replica.sparse
        for action in ("ADD COLUMN IF NOT EXISTS", "MODIFY COLUMN")
    ]


def inserts(replica: Replica, number: int) -> list[str]:
    """Return what follows INSERT INTO, so that changes' values and former keys are kept as those of round `number`."""
    values = ", ".join([*replica.finals(sparse=True), VERSION, "unavailable", str(number)])
    parsed = ", ".join(f"{field.name} Nullable(String)" for field in _keys(replica))
    old = [
        field.final(field.type.value(f"tupleElement(o, {place})"), f"tupleElement(o, {place})")
        for place, field in enumerate(_keys(replica), 1)
    ]
    former = f"SELECT *, JSONExtract(old_key, {format_str(f'Tuple({parsed})')}) AS o FROM ({replica.rows})"
    return [
        f"{_table(replica)} ({_names(replica)}, _round, _moved) SELECT {values}, {MOVED} FROM ({replica.rows})"
        f" WHERE NOT deleted AND (length(row) > {SHORT} OR notEmpty(unavailable))",
        f"{_moved(replica)} ({_names(replica)}, _round, {', '.join(_old(replica))})"
        f" SELECT {values}, {', '.join(old)} FROM ({former}) WHERE NOT deleted AND {MOVED}",
    ]


def names(replica: Replica) -> tuple[str, str]:
    """Return the names of both tables: of values, and of moved rows."""
    return f"{replica.target}__toast", f"{replica.target}__moved"


def last_round(replica: Replica) -> str:
    """Return the question for the highest round there has been."""
    rounds = (f"(SELECT max(_round) FROM {table})" for table in (_table(replica), _moved(replica)))
    return f"SELECT greatest({', '.join(rounds)})"


def has_come(replica: Replica, since: int) -> str:
    """Return the question whether there are values of round `since` or later."""
    return f"SELECT count() > 0 FROM {_table(replica)} WHERE _round >= {since}"


def is_unsettled(replica: Replica, since: int) -> str:
    """Return the question whether values of round `since` or later may concern a row that moved."""
    return f"SELECT (SELECT count() FROM {_moved(replica)}) > 0 AND ({has_come(replica, since)})"


def settle(replica: Replica, since: int, number: int) -> str:
    """Return the statement of round `number`, which gives moved rows what is known of their values under former keys.

    They are those that came in round `since` or later, and those of whose former keys something did, from before they
    moved. What is known may be more in later rounds: it is put again until nobody is given anything.
    """
    keys, key = [f"m.{field.name}" for field in _keys(replica)], _key(replica)
    old = ", ".join(f"m.{name}" for name in _old(replica))
    fresh = f"SELECT {key}, min(_version) AS first FROM {_table(replica)} WHERE _round >= {since} GROUP BY {key}"
    some = (
        f"FROM {_moved(replica)} AS m LEFT JOIN ({fresh}) AS f ON {_same(replica, 'm', 'f')}"
        f" WHERE m._round >= {since} OR (f.first > 0 AND f.first < m._version)"
    )
    values, left = [], []
    for field in replica.sparse:
        lacks, decides = f"has(any(m._unavailable), {_name(field)})", f"s._version < m._version AND ({_decides(field)})"
        values.append(f"if({lacks}, {_newest(field, decides)}, any(m.{field.name}))")
        left.append(f"if({lacks} AND NOT {_known(field, decides)}, [{_name(field)}], [])")
    return (
        f"INSERT INTO {_table(replica)} ({_names(replica)}, _round, _moved, _settled)"
        f" SELECT {', '.join([*keys, *values])}, m._version, arrayConcat({', '.join(left)}), {number}, 1, {number}"
        f" FROM (SELECT m.* {some}) AS m"
        f" INNER JOIN (SELECT * FROM {_table(replica)} WHERE ({key}) IN (SELECT {old} {some})) AS s"
        f" ON {_same(replica, 'm', 's')} GROUP BY {', '.join(keys)}, m._version"
    )


def create_view(replica: Replica) -> str:
    """Return the statement that makes the view: what a row lacks is the newest that is kept of its key."""
    columns = [
        f"if(has(r._unavailable, {_name(field)}), k.{_kept(place)}, r.{field.name}) AS {field.name}"
        if field.is_sparse
        else f"r.{field.name} AS {field.name}"
        for place, field in enumerate(replica.fields, 1)
    ]
    newest = [
        f"{_newest(field, _decides(field))} AS {_kept(place)}"
        for place, field in enumerate(replica.fields, 1)
        if field.is_sparse
    ]
    return (
        f"CREATE OR REPLACE VIEW {replica.view} AS SELECT {', '.join(columns)}"
        f" FROM {_current(replica)} AS r {_with(replica, newest, _current(replica, LACKS))}"
    )


def create_lacking(replica: Replica) -> str:
    """Return the statement that makes view `<table>__lacking`: the keys of rows that lack values, and which."""
    view = quote_identifier(f"{replica.target}{LACKING}")
    return f"CREATE OR REPLACE VIEW {view} AS {_lacking(replica, _current(replica, LACKS))}"


def lacking(replica: Replica, since: int = 0) -> str:
    """Return the question how many rows lack values; with `since`, of those alone that came in that round or later."""
    key = _key(replica)
    fresh = f"({key}) IN (SELECT {key} FROM {_table(replica)} WHERE _round >= {since} AND {LACKS})"
    rows = _current(replica, f"{LACKS} AND {fresh}" if since else LACKS)
    return f"SELECT count() FROM ({_lacking(replica, rows)})"


def _lacking(replica: Replica, rows: str) -> str:
    """Return the keys of `rows` that lack values, and which these are."""
    known = [f"{_known(field, _decides(field))} AS {_kept(place)}" for place, field in enumerate(replica.sparse)]
    lacks = ", ".join(
        f"if(has(r._unavailable, {_name(field)}) AND NOT k.{_kept(place)}, [{_name(field)}], [])"
        for place, field in enumerate(replica.sparse)
    )
    names = ", ".join(f"r.{field.name} AS {field.name}" for field in _keys(replica))
    return (
        f"SELECT {names}, arrayConcat({lacks}) AS _lacks FROM {rows} AS r {_with(replica, known, rows)}"
        f" WHERE notEmpty(_lacks)"
    )


def _current(replica: Replica, which: str = "true") -> str:
    """Return the rows that count."""
    return f"(SELECT * FROM {replica.storage} FINAL WHERE _version > {replica.floor} AND {which})"


def _with(replica: Replica, kept: list[str], rows: str) -> str:
    """Return the join of rows `r` with what is kept of those of them that are `rows`, as `k`."""
    key = _key(replica)
    same = " AND ".join(f"r.{field.name} = k.{field.name}" for field in _keys(replica))
    return (
        f"LEFT ANY JOIN (SELECT {key}, {', '.join(kept)} FROM {_table(replica)} AS s"
        f" WHERE ({key}) IN (SELECT {key} FROM {rows}) GROUP BY {key}) AS k ON {same}"
    )


def _same(replica: Replica, moved: str, other: str) -> str:
    """Return whether a row that moved had the key of another."""
    pairs = zip(_old(replica), _keys(replica), strict=True)
    return " AND ".join(f"{moved}.{old} = {other}.{field.name}" for old, field in pairs)


def _name(field: Field) -> str:
    return str(format_str(field.column.name))


def _decides(field: Field) -> str:
    return f"s._moved OR NOT has(s._unavailable, {_name(field)})"


def _newest(field: Field, decides: str) -> str:
    return f"tupleElement(argMaxIf(tuple(s.{field.name}), {NEWEST}, {decides}), 1)"


def _known(field: Field, decides: str) -> str:
    return f"argMaxIf(NOT has(s._unavailable, {_name(field)}), {NEWEST}, {decides})"


def _kept(place: int) -> str:
    return f"_kept_{place}"


def _names(replica: Replica) -> str:
    names = [field.name for field in replica.fields if field.key or field.is_sparse]
    return ", ".join([*names, "_version", "_unavailable"])
