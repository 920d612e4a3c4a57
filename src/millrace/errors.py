"""Errors by what to do next: put the record aside, try again, or tell the user."""


class MillraceError(Exception):
    """Anything that millrace raises on purpose; the command line prints it as one line."""


class BadRecord(MillraceError):
    """A record that no retry will mend: it goes to the dead letters and the stream goes on."""


class Unavailable(MillraceError):
    """A server or feed that does not answer: back off, try again, then raise so that the batch is replayed."""


class ConfigError(MillraceError):
    """Wrong or missing settings or arguments: names every one of them; the process exits with 2."""
