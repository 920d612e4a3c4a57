"""Times as values of ClickHouse, of what Debezium sends, and how PostgreSQL tells them."""

DAYS = (-719_162, 2_932_896)  # of ClickHouse's dates: the years 1 to 9999
MICROSECONDS = (DAYS[0] * 86_400_000_000, (DAYS[1] + 1) * 86_400_000_000 - 1)
YEAR = r"^(000[1-9]|00[1-9]\\d|0[1-9]\\d\\d|[1-9]\\d{3})-"


def shown(column: str, form: str) -> str:
    """Return PostgreSQL's expression for a time by `form`, where that tells all of it: neither the era nor infinity."""
    known = f"{column} >= '0001-01-01' AND {column} < 'infinity'"
    return f"CASE WHEN {known} THEN to_char({column}, '{form}') ELSE format('%s', {column}) END"


def _between(number: str, limits: tuple[int, int], then: str) -> str:
    return f"if({number} BETWEEN {limits[0]} AND {limits[1]}, {then}, NULL)"


def date(text: str) -> str:
    """Return a date, of days since 1970."""
    days = f"toInt64OrNull({text})"
    return _between(days, DAYS, f"addDays(toDate32('1970-01-01'), {days})")


def timestamp(text: str) -> str:
    """Return a timestamp, of microseconds since 1970."""
    number = f"toInt64OrNull({text})"
    return _between(number, MICROSECONDS, f"fromUnixTimestamp64Micro(assumeNotNull({number}), 'UTC')")


def moment(text: str) -> str:
    """Return a timestamp in UTC, of its ISO form."""
    return f"if(match(ifNull({text}, ''), '{YEAR}'), accurateCastOrNull({text}, 'DateTime64(6, \\'UTC\\')'), NULL)"


def clock(text: str) -> str:
    """Return a time of day as PostgreSQL prints it, of microseconds since midnight; 24:00:00 is one."""
    number = f"assumeNotNull(toUInt64OrNull({text}))"
    parts = [f"leftPad(toString(intDiv({number}, {unit}) % 60), 2, '0')" for unit in (60_000_000, 1_000_000)]
    hours = f"leftPad(toString(intDiv({number}, 3600000000)), 2, '0')"
    digits = f"trim(TRAILING '0' FROM leftPad(toString({number} % 1000000), 6, '0'))"
    rest = f"if({number} % 1000000 = 0, '', concat('.', {digits}))"
    return f"if(isNull(toUInt64OrNull({text})), NULL, concat({hours}, ':', {parts[0]}, ':', {parts[1]}, {rest}))"


def interval(column: str) -> str:
    """Return PostgreSQL's expression for an interval as Debezium sends it: months, days and time apart."""
    fields = ", ".join(f"extract({field} FROM {column})" for field in ("year", "month", "day", "hour", "minute"))
    return f"format('P%sY%sM%sDT%sH%sM%sS', {fields}, trim_scale(extract(second FROM {column})))"


def microseconds(text: str) -> str:
    """Return an interval with the microseconds that PostgreSQL has: Debezium's seconds were a double in between."""
    found = f"extract({text}, '(-?[0-9.]+)S$')"
    rounded = f"toString(round(toDecimal64OrZero({found}, 9), 6))"
    return (
        f"if({found} = '', {text}, concat(substring({text}, 1, length({text}) - length({found}) - 1), {rounded}, 'S'))"
    )
