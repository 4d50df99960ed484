"""`genfun` and `python -m genfun`: the command line, which Ctrl-C ends in one line from its first moment on."""

from __future__ import annotations

import os
import signal
from typing import Any


def run() -> Any:
    """Load the command line and run it."""
    with _Quiet():
        from genfun.cli import main
    return main(prog_name="genfun")


class _Quiet:
    """While modules are loaded Ctrl-C ends the process at once, with a word and exit code 130.

    As an exception it would come up in the midst of someone's import, and be shown with all its lines, or caught there.
    """

    def __enter__(self) -> None:
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is signal.default_int_handler:  # where it is ignored, as in the background, it stays so
            signal.signal(signal.SIGINT, lambda _signal, _frame: _stop())

    def __exit__(self, *_: object) -> None:
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop() -> None:
    os.write(2, b"Interrupted.\n")
    os._exit(130)


if __name__ == "__main__":
    run()
