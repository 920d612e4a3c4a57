"""Fields of a question that a server may do without: one that it refuses is left out from then on."""

from collections.abc import Mapping
from typing import Any

import httpx

from millrace.sentiment.wire import Failure


class Extras:
    """Optional fields by name, each with the values that it sends.

    A 400 that names one, or any 400 before the first answer, is met by asking again without; that is remembered once it
    was answered. So a text that is refused for its own sake takes nothing from others.
    """

    def __init__(self, **fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self._left_out: frozenset[str] = frozenset()
        self._proven: frozenset[str] | None = None

    @property
    def left_out(self) -> frozenset[str]:
        """The names of what is not sent now."""
        return self._left_out

    def values(self) -> dict[str, Any]:
        """Return what is sent now."""
        return {
            key: value
            for name, values in self._fields.items()
            if name not in self._left_out
            for key, value in values.items()
        }

    def accepted(self, without: frozenset[str]) -> None:
        """Learn that a question `without` these was answered."""
        self._proven = without

    def refused(self, failure: Failure, without: frozenset[str]) -> Failure:
        """Return the failure of a question `without` these; it is to be tried again at once where less can be sent."""
        if failure.status not in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
            return failure
        sent = [name for name in self._fields if name not in without]
        named = [name for name in sent if name in failure.told.lower()]
        candidates = named or (sent if self._proven is None else [])
        if not candidates:
            self._left_out = self._proven or frozenset()
            return failure
        self._left_out |= {candidates[0]}
        return Failure(str(failure), again=True, server=False, after=0.0)
