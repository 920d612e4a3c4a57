"""Settle large values after each batch: rows that moved are given theirs, and rows that have none are told."""

import logging
import time
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from millrace.cdc import toast
from millrace.cdc.replica import Replica

log = logging.getLogger(__name__)
PAUSE = 60.0  # seconds between two warnings of one table at least


@dataclass
class Settling:
    """Of one table: the round `number` of the batch at hand, and the one below which all is settled.

    At the start nothing is known to be. `lacks` is whether rows lacked values when they were counted last.
    """

    replica: Replica
    number: int
    since: int = 0
    lacks: bool = True
    silent: float = 0.0

    @property
    def has_come(self) -> str:
        """The question whether the batch brought anything."""
        return toast.has_come(self.replica, self.since)

    def settle(self, server: Client) -> None:
        """Settle what is new; a row may take its values from one that moved itself, and is given them a round later."""
        begun = since = self.since
        while server.query(toast.is_unsettled(self.replica, since)).result_rows[0][0]:
            self.number += 1
            server.command(toast.settle(self.replica, since, self.number))
            since = self.number
        self.number += 1
        self.since = self.number
        self._tell(server, begun)

    def _tell(self, server: Client, since: int) -> None:
        """Warn of rows that lack values; all are looked at only where some did, or do that are new."""
        if self.lacks or server.query(toast.lacking(self.replica, since)).result_rows[0][0]:
            self.lacks = True
            if time.monotonic() > self.silent:
                ((count,),) = server.query(toast.lacking(self.replica)).result_rows
                self.lacks = count > 0
                if count:
                    self.silent = time.monotonic() + PAUSE
                    name = self.replica.source.full_name
                    log.warning("%s; if no snapshot reads them just now: `millrace cdc snapshot %s`",
                                lack(name, count), name)  # fmt: skip


def begin(server: Client, replica: Replica) -> Settling:
    """Make the views of `replica`, whose tables are there, and return that nothing of it is settled."""
    for statement in (toast.create_view(replica), toast.create_lacking(replica)):
        server.command(statement)
    ((last,),) = server.query(toast.last_round(replica)).result_rows
    return Settling(replica, last + 1)


def lack(table: str, count: int) -> str:
    """Return in words that rows of a table lack values."""
    return f"{table}: rows without large values that no change carried: {count:,}"
