"""Times of any year as PostgreSQL prints them, of what Debezium sends: infinity, years before Christ and after 9999."""

CYCLE = 146_097  # days in 400 years, after which the calendar repeats
DAY = 86_400_000_000  # microseconds
# Snapshots read dates by way of milliseconds, so that infinities come out as others than in the stream.
INFINITE = {"infinity": (2_146_033_979, -622_191_234), "-infinity": (-2_147_472_691, -625_821_272)}
FIRST = -2_440_588 * DAY  # PostgreSQL's first timestamp, in 4714 BC
ENDS = {"infinity": (1 << 63) - 1, "-infinity": -(1 << 63)}


def date(text: str) -> str:
    """Return the text of a date, of days since 1970."""
    days = f"toInt64OrNull({text})"
    ends = ", ".join(f"{days} IN {numbers}, '{name}'" for name, numbers in INFINITE.items())
    return f"multiIf(isNull({days}), NULL, {ends}, concat({_day(days)}, {_era(days)}))"


def timestamp(text: str) -> str:
    """Return the text of a timestamp, of microseconds since 1970.

    Those after 10 January 294247 are too many for Debezium's number: it wraps round to one before all timestamps, which
    is none here, or, without a fraction of a second, ends at that of infinity.
    """
    number = f"toInt64OrNull({text})"
    ends = ", ".join(f"{number} = {limit}, '{name}'" for name, limit in ENDS.items())
    days = f"intDiv({number} - positiveModulo({number}, {DAY}), {DAY})"
    shown = f"concat({_day(days)}, ' ', {_clock(number)}, {_era(days)})"
    return f"multiIf(isNull({number}), NULL, {ends}, {number} < {FIRST}, NULL, {shown})"


def moment(text: str) -> str:
    """Return the text of a timestamp with time zone in UTC, of its ISO form, whose year 0 is 1 BC."""
    year = f"toInt64OrZero(replaceOne(extract({text}, '^([+-]?\\\\d+)-'), '+', ''))"
    rest = f"extract({text}, '^[+-]?\\\\d+(-\\\\d\\\\d-\\\\d\\\\d)T')"
    clock = f"replaceRegexpOne(extract({text}, 'T([0-9:.]+)Z$'), '\\\\.?0*$', '')"
    seconds = f"extract({text}, 'T([0-9:]+)')"
    shown = f"if(position({text}, '.') > 0, {clock}, {seconds})"
    made = f"concat({_year(year)}, {rest}, ' ', {shown}, '+00', if({year} <= 0, ' BC', ''))"
    return f"multiIf(isNull({text}), NULL, endsWith({text}, 'infinity'), {text}, {rest} = '', NULL, {made})"


def _cycles(days: str) -> str:
    return f"toInt64(floor(({days} + 719162) / {CYCLE}))"


def _shifted(days: str) -> str:
    """Return the same day of the calendar in the years 1 to 400."""
    return f"addDays(toDate32('1970-01-01'), {days} - {_cycles(days)} * {CYCLE})"


def _years(days: str) -> str:
    return f"(toInt64(toYear({_shifted(days)})) + 400 * {_cycles(days)})"


def _year(year: str) -> str:
    shown = f"toString(if({year} > 0, {year}, 1 - {year}))"
    return f"if(length({shown}) < 4, leftPad({shown}, 4, '0'), {shown})"


def _day(days: str) -> str:
    return f"concat({_year(_years(days))}, '-', substring(toString({_shifted(days)}), 6))"


def _era(days: str) -> str:
    return f"if({_years(days)} <= 0, ' BC', '')"


def _clock(number: str) -> str:
    within = f"positiveModulo({number}, {DAY})"
    parts = ", ':', ".join(
        f"leftPad(toString(intDiv({within}, {unit}) % {most}), 2, '0')"
        for unit, most in ((3_600_000_000, 24), (60_000_000, 60), (1_000_000, 60))
    )
    fraction = f"trim(TRAILING '0' FROM leftPad(toString({within} % 1000000), 6, '0'))"
    return f"concat({parts}, if({within} % 1000000 = 0, '', concat('.', {fraction})))"
