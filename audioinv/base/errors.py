"""The one exception that means: the input is at fault, and here is what to do."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in what the user gave; its message names the value, the range and the remedy.

    The command line prints it as one line and exits with status 2.
    """


class FileError(UserError):
    """Something is wrong with one file.

    Args:
        kind: a word or two, such as "missing" or "truncated", by which problems are listed.
        message: names the file and says what is wrong.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)  # both as arguments, so that it survives pickling
        self.kind = kind

    def __str__(self) -> str:
        return str(self.args[1])
