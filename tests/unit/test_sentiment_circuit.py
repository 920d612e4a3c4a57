"""When a server may be asked: pauses, patience, Retry-After, retries. The clock is stepped, nothing waits."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from millrace.sentiment import circuit
from millrace.sentiment.circuit import FAILURES, LAST, PATIENCE, SPARE, Circuit, Late, Open
from millrace.sentiment.wire import LONGEST, Failure, retry_after


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def known(clock):
    return Circuit(clock)


def call(known, failure=None, until=None):
    """Make one call that ends so; return whether it went out, None where it would wait."""

    async def made():
        async with known.call(until):
            if failure:
                raise failure

    async def soon():
        await asyncio.wait_for(made(), 0.01)

    try:
        asyncio.run(soon())
    except Open:
        return False
    except TimeoutError:
        return None
    except Failure as raised:
        assert raised is failure
    return True


DOWN = Failure("server away: ClientConnectorError", again=True)


def opened(known, clock):
    for _ in range(FAILURES):
        assert call(known, DOWN)
    clock.now += PATIENCE


def test_failures_in_a_row_open_it(known, clock):
    for _ in range(FAILURES - 1):
        assert call(known, DOWN)
    assert call(known) and call(known, DOWN)  # an answer between them: they are not in a row
    assert call(known)
    opened(known, clock)
    assert call(known, DOWN)  # the pause is over: one call tries the server
    assert call(known) is False
    with pytest.raises(Open, match="circuit open: server away: ClientConnectorError"):
        asyncio.run(known._admitted(None))


def test_failures_of_texts_do_not(known):
    for _ in range(3 * FAILURES):
        assert call(known, Failure("HTTP 400", server=False))


def test_texts_wait_for_a_server_that_may_be_back_soon(known, clock):
    for _ in range(FAILURES):
        call(known, DOWN)
    assert call(known) is None
    clock.now += 1
    assert call(known) and call(known)


def test_a_single_call_tries_the_server(known, clock):
    opened(known, clock)

    async def two():
        async with known.call(None):
            with pytest.raises(Open):
                async with known.call(None):
                    pass

    asyncio.run(two())
    assert call(known)  # that one call was answered


def test_a_try_that_is_given_up_lets_another_go(known, clock):
    opened(known, clock)

    async def cancelled():
        async with known.call(None):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert call(known)


def test_pauses_double_to_a_limit_so_that_it_is_back_within_a_minute(known, clock):
    opened(known, clock)
    pauses = []
    for _ in range(8):
        assert call(known, DOWN)  # the next pause begins
        began = clock.now
        while call(known, DOWN) is False:
            clock.now += 0.5
        pauses.append(clock.now - began)
        clock.now += LAST
    assert pauses == sorted(pauses) and pauses[-1] == LAST and LAST + 30 < 60


def test_retry_after_holds_back_every_call(known, clock):
    assert call(known, Failure("HTTP 429", again=True, after=10.0))
    clock.now += 9
    assert call(known) is None
    clock.now += 1
    assert call(known)


def test_patience_begins_when_the_server_may_be_asked_again(known, clock):
    async def together():
        async with asyncio.TaskGroup() as group:
            for _ in range(FAILURES):
                group.create_task(one())

    async def one():
        try:
            async with known.call(None):
                await asyncio.sleep(0)
                raise Failure("HTTP 429", again=True, after=30.0)
        except Failure:
            pass

    asyncio.run(together())
    clock.now += 29
    assert call(known) is None
    clock.now += 1
    assert call(known) and call(known)


def test_an_answer_of_a_call_under_way_does_not_end_a_retry_after(known, clock):
    async def overlapping():
        async with known.call(None):
            with pytest.raises(Failure):
                async with known.call(None):
                    raise Failure("HTTP 429", again=True, after=10.0)

    asyncio.run(overlapping())
    assert call(known) is None


def test_no_call_begins_when_the_time_is_over(known, clock):
    with pytest.raises(Late, match="skipped: "):
        call(known, until=clock.now)


def test_retries_have_a_budget(known):
    assert sum(known.spend() for _ in range(100)) == SPARE
    for _ in range(10):
        known.earn()
    assert sum(known.spend() for _ in range(100)) == 2


def test_a_server_is_known_for_the_life_of_the_process():
    assert circuit.of("http://one") is circuit.of("http://one") is not circuit.of("http://two")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("5", 5), ("0", 0), (" 2 ", 2), ("0.5", 0.5), ("-3", 0), ("900", LONGEST), ("1e999", LONGEST)),
        *((None, None), ("", None), ("soon", None), ("nan", None), ("٣", None), ("Sat, 99 Foo", None)),
    ],
)
def test_retry_after_in_seconds(value, seconds):
    assert retry_after(value) == seconds


@pytest.mark.parametrize(("ahead", "seconds"), [(20, 20), (-20, 0), (9_000, LONGEST)])
def test_retry_after_as_a_date(ahead, seconds):
    now = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    date = format_datetime(now + timedelta(seconds=ahead), usegmt=True)
    assert retry_after(date, now.timestamp()) == seconds
