"""The one exception that means: the input is at fault, and here is what to do."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in what the user gave; its message names the value, the range and the remedy.

    The command line prints it as one line and exits with status 2.
    """
