"""The command group: commands in the order of use, and every error in one line."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

BAD_INPUT, INTERRUPTED = 2, 130
BROKEN_PIPE = 1


def examples(*lines: str) -> str:
    """An epilog of a help page that shows commands to copy, unwrapped.

    Parameters
    ----------
    *lines : str
        Commands.
    """
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


class Jobs(click.Group):
    """A group that lists its commands as they were added and turns errors of the library into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of use."""
        return list(self.commands)

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run; exit 0, 2 on bad input (one line on stderr), 130 on Ctrl-C.

        Parameters
        ----------
        *args, **extra
            As for `click.Command.main`.
        standalone_mode : bool
            False leaves every exception to the caller.
        """
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)
        words = extra.get("args", args[0] if args else None)
        code = None
        verbose = "--traceback" in (sys.argv[1:] if words is None else words)
        try:
            code = super().main(*args, standalone_mode=False, **extra)
            sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(BAD_INPUT)
        except click.ClickException as error:
            where = getattr(error, "ctx", None)
            hint = f" (see {where.command_path} --help)" if where is not None else ""
            _fail(error.format_message() + hint)
        except (KeyboardInterrupt, click.Abort):
            click.echo("Interrupted.", err=True)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader (head, less) has seen enough; keep Python from complaining again when it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(BROKEN_PIPE)
        except (ValueError, TypeError, OSError, ImportError) as error:
            if verbose:
                raise
            _fail(_message(error))
        sys.exit(code if isinstance(code, int) else 0)


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}; check the path and its permissions"
    return str(error) or type(error).__name__


def _fail(message: str) -> None:
    click.echo("Error: " + " ".join(message.split()), err=True)
    sys.exit(BAD_INPUT)
