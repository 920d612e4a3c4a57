"""Read the optional fields of a provider's record, whatever stands in them.

Many servers speak a provider's protocol, and each fills some fields in its own way. A field that has another shape than
the provider documents is read where its meaning is plain, else it is None: it never costs the record.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from types import UnionType
from typing import Any, TypeVar

from millrace.ingest.values import claimed

LARGEST_COUNT = 2**63 - 1
LONGEST_WORD = 2048  # characters of a name, an address or a code
_FLAGS = {0: False, 1: True, "false": False, "true": True}
T = TypeVar("T")


class Fields:
    """The fields of a JSON object; of anything else, none.

    `optional` names the fields that the provider may leave out or set to null. `mended` collects the names of those
    that had another shape than documented; the fields of inner objects add theirs to the same set.
    """

    __slots__ = ("_document", "_optional", "mended")

    def __init__(self, document: object, optional: Collection[str] = (), mended: set[str] | None = None) -> None:
        self._document: dict[str, Any] = document if isinstance(document, dict) else {}
        self._optional = optional
        self.mended: set[str] = set() if mended is None else mended

    def text(self, name: str, longest: int | None = None) -> str | None:
        """Return a text, without U+0000, which PostgreSQL cannot store; None where it has more than `longest`."""
        found = self._typed(name, str, _nothing)
        if found is None or (longest and len(found) > longest):
            return None if found is None else self._mend(name, None)
        return found if "\0" not in found else self._mend(name, found.replace("\0", ""))

    def word(self, name: str) -> str | None:
        """Return a name, an address or a code: a text that is not blank; a number is the text of its digits."""
        found = self._typed(name, str, _digits)
        return found if found is None or (_is_word(found) and len(found) <= LONGEST_WORD) else self._mend(name, None)

    def count(self, name: str) -> int | None:
        """Return a counter, also where it is written as a text."""
        found = self._typed(name, int, _whole)
        return found if found is None or 0 <= found <= LARGEST_COUNT else self._mend(name, None)

    def flag(self, name: str) -> bool | None:
        """Return true or false, also where it is written as 1, 0 or a text."""
        return self._typed(name, bool, _true_or_false)

    def time(self, name: str) -> str | None:
        """Return a time as ISO 8601 in UTC with microseconds; one without a zone is in UTC."""
        found = self._typed(name, str, _nothing)
        if found is None:
            return None
        written = claimed(found)
        return written if written and _has_zone(found) else self._mend(name, written)

    def inner(self, name: str, optional: Collection[str] = ()) -> "Fields":
        """Return the fields of an inner object."""
        return Fields(self._typed(name, dict, _nothing), optional, self.mended)

    def objects(self, name: str, key: str | None = None, optional: Collection[str] = ()) -> list["Fields"]:
        """Return the objects of a list; with `key`, a bare text stands for the object that has it as `key`."""
        return [
            Fields({key: each} if key and isinstance(each, str) else each, optional, self.mended)
            for each in self._list(name, (dict, str) if key else (dict,), plain=dict)
        ]

    def words(self, name: str) -> list[str]:
        """Return the words of a list; a single one stands for a list of it."""
        found = self._list(name, (str, int), plain=str | int)
        words = [each if isinstance(each, str) else _digits(each) for each in found]
        kept = [each for each in words if each and _is_word(each)]
        return kept if kept == found else self._mend(name, kept)

    def _typed(self, name: str, kind: type[T], plain: Callable[[Any], T | None]) -> T | None:
        """Return the field if it is of `kind` itself (true is no integer), else what `plain` makes of it."""
        found = self._document.get(name)
        if type(found) is kind or (found is None and name in self._optional):
            return found
        return self._mend(name, plain(found))

    def _list(self, name: str, kinds: tuple[type, ...], plain: type | UnionType) -> list[Any]:
        """Return the elements that are of `kinds`; one of the kind `plain` stands for a list of it."""
        found = self._typed(name, list, lambda value: [value] if isinstance(value, plain) else [])
        kept = [each for each in found or () if isinstance(each, kinds)]
        return kept if len(kept) == len(found or ()) else self._mend(name, kept)

    def _mend(self, name: str, value: T) -> T:
        self.mended.add(name)
        return value


def _is_word(text: str) -> bool:
    return bool(text.strip()) and "\0" not in text


def _nothing(value: object) -> None:
    return None


def _digits(value: object) -> str | None:
    return str(value) if type(value) is int and abs(value) <= LARGEST_COUNT else None


def _whole(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _true_or_false(value: object) -> bool | None:
    return _FLAGS.get(value) if isinstance(value, int | str) else None


def _has_zone(text: str) -> bool:
    return text.endswith("Z") or datetime.fromisoformat(text).tzinfo is not None
