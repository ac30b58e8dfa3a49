"""The one exception for mistakes in the user's input."""


class PiennError(Exception):
    """A mistake the user can mend: its message is one line that names the place and the way out.

    The command line prints it as ``error: <message>`` and exits with 2.
    """
