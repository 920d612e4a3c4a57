"""What stands against capturing something, and what mends it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong at `subject`, a table or the server; `mend` is a statement or a command.

    `fatal`: rows would be lost or wrong, or statements of the source would fail; else it is advice.
    """

    subject: str
    what: str
    mend: str
    fatal: bool = True

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.subject}: {self.what}: {self.mend}"
