"""Values that PostgreSQL stores out of line, and leaves out of changes that did not touch them.

Without REPLICA IDENTITY FULL such a value has to be remembered from the last change that carried it, which may come
later than the one that lacks it. So table `<table>__toast` keeps the values of all rows that are long enough to have
some out of line, by key and place, and the view takes the newest. A row whose key was changed is new under its new key,
without those values: `<table>__moved` says which key it had before.
"""

from clickhouse_connect.driver.binding import format_str, quote_identifier

from millrace.cdc.replica import VERSION, Field, Replica

SHORT = 100  # characters of JSON; a row is 128 bytes at least before PostgreSQL moves anything out of it


def _table(replica: Replica) -> str:
    return quote_identifier(names(replica)[0])


def _moved(replica: Replica) -> str:
    return quote_identifier(names(replica)[1])


def _keys(replica: Replica) -> list[Field]:
    return [field for field in replica.fields if field.key]


def _old(replica: Replica) -> list[str]:
    return [f"_old_{place}" for place, _ in enumerate(_keys(replica), 1)]


SIZES = (
    "SELECT name, total_rows FROM system.tables WHERE database = currentDatabase() AND name IN ({names:Array(String)})"
)


def create(replica: Replica) -> list[str]:
    """Return the statements that make both tables, and take over the values that storage has by then."""
    kept = [*_keys(replica), *replica.sparse]
    own = "_version UInt128, _unavailable Array(LowCardinality(String)), _known UInt16"
    columns = ", ".join([*(f"{field.name} {field.stored}" for field in kept), own])
    old = ", ".join(f"{name} {field.stored}" for name, field in zip(_old(replica), _keys(replica), strict=True))
    engine = f"ENGINE = ReplacingMergeTree(_known) ORDER BY ({replica.order}, _version)"
    return [
        f"CREATE TABLE IF NOT EXISTS {_table(replica)} ({columns}) {engine}",
        f"CREATE TABLE IF NOT EXISTS {_moved(replica)} ({columns}, {old}) {engine}",
        f"INSERT INTO {_table(replica)} ({_names(replica)}, _known)"
        f" SELECT {_names(replica)}, {_known(replica, '_unavailable')} FROM {replica.storage} FINAL",
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


def inserts(replica: Replica) -> list[str]:
    """Return what follows INSERT INTO, so that the values of changes and their former keys are kept."""
    values = ", ".join([*replica.finals(sparse=True), VERSION, "unavailable", _known(replica, "unavailable")])
    parsed = ", ".join(f"{field.name} Nullable(String)" for field in _keys(replica))
    old = [
        field.final(field.type.value(f"tupleElement(o, {place})"), f"tupleElement(o, {place})")
        for place, field in enumerate(_keys(replica), 1)
    ]
    former = f"SELECT *, JSONExtract(old_key, {format_str(f'Tuple({parsed})')}) AS o FROM ({replica.rows})"
    return [
        f"{_table(replica)} ({_names(replica)}, _known) SELECT {values} FROM ({replica.rows})"
        f" WHERE NOT deleted AND length(row) > {SHORT}",
        f"{_moved(replica)} ({_names(replica)}, _known, {', '.join(_old(replica))})"
        f" SELECT {values}, {', '.join(old)} FROM ({former})"
        " WHERE NOT deleted AND old_key != '' AND notEmpty(unavailable)",
    ]


def names(replica: Replica) -> tuple[str, str]:
    """Return the names of both tables: of values, and of moved rows."""
    return f"{replica.target}__toast", f"{replica.target}__moved"


def settled(replica: Replica) -> str:
    """Return the question how many moved rows have all their values."""
    place = f"({', '.join(field.name for field in _keys(replica))}, _version)"
    return (
        f"SELECT count() FROM {_table(replica)} FINAL"
        f" WHERE empty(_unavailable) AND {place} IN (SELECT {place} FROM {_moved(replica)})"
    )


def settle(replica: Replica) -> str:
    """Return the statement that gives moved rows what is known of their values under the former keys.

    It is right whatever has come so far, and is put again when more has; a row that moved n times wants it n times.
    """
    keys = [f"m.{field.name}" for field in _keys(replica)]
    same = " AND ".join(f"m.{old} = s.{field.name}" for old, field in zip(_old(replica), _keys(replica), strict=True))
    values, left = [], []
    for field in replica.sparse:
        name = format_str(field.column.name)
        lacks = f"has(any(m._unavailable), {name})"
        known = f"s._version < m._version AND NOT has(s._unavailable, {name})"
        found = f"tupleElement(argMaxIf(tuple(s.{field.name}), s._version, {known}), 1)"
        values.append(f"if({lacks}, {found}, any(m.{field.name}))")
        left.append(f"if({lacks} AND countIf({known}) = 0, [{name}], [])")
    made = f"arrayConcat({', '.join(left)})"
    return (
        f"INSERT INTO {_table(replica)} ({_names(replica)}, _known) SELECT {', '.join([*keys, *values])}, m._version,"
        f" {made}, {_known(replica, made)} FROM {_moved(replica)} AS m INNER JOIN {_table(replica)} AS s ON {same}"
        f" GROUP BY {', '.join(keys)}, m._version"
    )


def _known(replica: Replica, unavailable: str) -> str:
    return f"{len(replica.sparse)} - length({unavailable})"


def create_view(replica: Replica) -> str:
    """Return the statement that makes the view: what a row lacks is the newest that is kept of its key."""
    columns = [
        f"if(has(r._unavailable, {format_str(field.column.name)}), tupleElement(k.{_kept(place)}, 1), r.{field.name})"
        f" AS {field.name}"
        if field.is_sparse
        else f"r.{field.name} AS {field.name}"
        for place, field in enumerate(replica.fields, 1)
    ]
    newest = [
        f"argMaxIf(tuple({field.name}), _version, NOT has(_unavailable, {format_str(field.column.name)}))"
        f" AS {_kept(place)}"
        for place, field in enumerate(replica.fields, 1)
        if field.is_sparse
    ]
    keys = ", ".join(field.name for field in _keys(replica))
    lacking = f"SELECT {keys} FROM {replica.storage} FINAL WHERE notEmpty(_unavailable)"
    same = " AND ".join(f"r.{field.name} = k.{field.name}" for field in _keys(replica))
    return (
        f"CREATE OR REPLACE VIEW {replica.view} AS SELECT {', '.join(columns)}"
        f" FROM (SELECT * FROM {replica.storage} FINAL WHERE _version > {replica.floor}) AS r LEFT ANY JOIN"
        f" (SELECT {keys}, {', '.join(newest)} FROM {_table(replica)} WHERE ({keys}) IN ({lacking}) GROUP BY {keys})"
        f" AS k ON {same}"
    )


def _kept(place: int) -> str:
    return f"_kept_{place}"


def _names(replica: Replica) -> str:
    names = [field.name for field in replica.fields if field.key or field.is_sparse]
    return ", ".join([*names, "_version", "_unavailable"])
