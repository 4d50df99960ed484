"""The command group: commands by the job they do, options by what they belong to, and every error in one line."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from genfun.cli.flags import in_flags, options_of
from genfun.cli.output import printable

BAD_INPUT, INTERRUPTED = 2, 130
BROKEN_PIPE = 1
WIDEST = 74
"""Of an example, which is indented by four and may end in a backslash."""
OUTPUT = ("--json", "--out", "--style", "--help")
"""Options of every command, last in its help."""


FEW = 5
"""So many commands are named that have an option which this one lacks."""
OTHER_NAMES = {
    "--learning-rate": ("--lr", "--alpha", "--eta", "--rate", "--learning_rate", "--step-size"),
    "--learning-rates": ("--lr", "--lrs", "--learning-rate", "--rates"),
    "--batch-size": ("--bs", "--batch", "--batchsize", "--batch_size", "-b", "--batch-sizes"),
    "--batch-sizes": ("--bs", "--batch", "--batch-size", "--batch_size"),
    "--momentum": ("--beta", "--mom", "--mu", "--momenta"),
    "--momenta": ("--momentum", "--beta", "--betas"),
    "--steps": ("--iterations", "--iters", "--t", "--step"),
    "--target": ("--label", "--y", "--target-column"),
    "--standardize": ("--normalize", "--scale", "--standardise"),
    "--intercept": ("--bias",),
    "--drop-missing": ("--dropna", "--drop-na"),
    "--one-hot": ("--onehot", "--dummies", "--categorical"),
}
"""What options are called elsewhere."""


def examples(*lines: str) -> str:
    """An epilog of a help page that shows commands to copy, those over 80 columns in several lines of the shell.

    Parameters
    ----------
    *lines : str
        Commands.
    """
    return "\n".join(("\b", "Examples:", *(f"  {line}" for command in lines for line in _shell_lines(command))))


def _shell_lines(command: str) -> list[str]:
    """A command in lines, all but the last with a backslash at the end, broken before options."""
    found = [""]
    for part in re.split(r" (?=--)", command):
        if found[-1] and len(found[-1]) + len(part) + 1 > WIDEST:
            found[-1] += " \\"
            found.append(f"    {part}")
        else:
            found[-1] += f" {part}" if found[-1] else part
    return found


class TargetOption(click.Option):
    """An option that says which TARGET is meant."""


class Job(click.Command):
    """A command whose help shows its own options first, then those of its TARGET, then those of its output."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in their groups.

        Parameters
        ----------
        ctx, formatter
            As for `click.Command.format_options`.
        """
        groups: dict[str, list[tuple[str, str]]] = {"Options": [], "TARGET": [], "Output": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                of_target, of_output = isinstance(param, TargetOption), param.opts[-1] in OUTPUT
                groups["TARGET" if of_target else "Output" if of_output else "Options"].append(record)
        for name, records in groups.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)

    def invoke(self, ctx: click.Context) -> Any:
        """Run; arguments in what the library refuses are told as the options that they are here.

        Parameters
        ----------
        ctx
            As for `click.Command.invoke`.
        """
        try:
            return super().invoke(ctx)
        except (ValueError, TypeError) as error:
            if len(error.args) == 1 and isinstance(error.args[0], str):
                error.args = (in_flags(error.args[0], options_of(self)),)
            raise


class Jobs(click.Group):
    """A group that lists its commands by the job they do and turns errors of the library into one line.

    Parameters
    ----------
    *args, **extra
        As for `click.Group`.
    jobs : mapping of str to commands
        The commands under their headings, in the order of use.
    """

    def __init__(self, *args: Any, jobs: Mapping[str, Sequence[click.Command]], **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.jobs = {heading: [str(command.name) for command in commands] for heading, commands in jobs.items()}
        for commands in jobs.values():
            for command in commands:
                self.add_command(command)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of use."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings, in columns of one width.

        Parameters
        ----------
        ctx, formatter
            As for `click.Group.format_commands`.
        """
        width = max(map(len, self.commands))
        limit = formatter.width - width - 6
        for heading, names in self.jobs.items():
            with formatter.section(heading):
                lines = ((name.ljust(width), self.commands[name].get_short_help_str(limit)) for name in names)
                formatter.write_dl(list(lines))

    def _file_first(self, words: Any) -> str:
        """What to write, where the first word is a file or a problem and no command; "" elsewhere."""
        given = sys.argv[1:] if words is None else list(words)
        if not given or given[0] in self.commands:
            return ""
        if not (os.path.isfile(given[0]) or given[0] in ("mnist", "power-law")):
            return ""
        return f"{given[0]} is no command but what one is asked about; begin with `genfun report {given[0]}`"

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
        except click.NoSuchOption as error:
            known = set() if error.ctx is None else {name for p in error.ctx.command.params for name in p.opts}
            named = [name for name, others in OTHER_NAMES.items() if error.option_name in others and name in known]
            where = "" if error.ctx is None else f" (see {error.ctx.command_path} --help)"
            elsewhere = [
                name for name, c in self.commands.items() if any(error.option_name in p.opts for p in c.params)
            ]
            hint = error.format_message()
            if named:
                hint = f"No such option {error.option_name!r}; here it is {named[0]}"
            elif 0 < len(elsewhere) <= FEW and not error.possibilities:
                hint = f"No such option {error.option_name!r} here; it belongs to {', '.join(elsewhere)}"
            _fail(hint + where)
        except click.MissingParameter as error:
            where = "" if error.ctx is None else f" (see {error.ctx.command_path} --help)"
            _fail(_lacking(error, words) + where)
        except click.ClickException as error:
            if isinstance(error, click.UsageError) and (near := self._file_first(words)):
                _fail(near)
            where = getattr(error, "ctx", None)
            hint = f" (see {where.command_path} --help)" if where is not None else ""
            _fail(error.format_message() + hint)
        except (KeyboardInterrupt, click.Abort) as error:
            told = str(error.__cause__ or "")  # click's Abort is raised from the interruption
            click.echo(printable(f"Interrupted; {told}" if told else "Interrupted."), err=True)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader (head, less) has seen enough; keep Python from complaining again when it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(BROKEN_PIPE)
        except (ValueError, TypeError, OSError, ImportError) as error:
            if verbose:
                raise
            _fail(_at_once(error, words))
        sys.exit(code if isinstance(code, int) else 0)


def _lacking(error: click.MissingParameter, words: Any) -> str:
    """All the options that a command needs and lacks, where an option is the first of them."""
    if error.ctx is None or not isinstance(error.param, click.Option):
        return error.format_message()
    given = {word.partition("=")[0] for word in (sys.argv[1:] if words is None else words)}
    needed = [p for p in error.ctx.command.params if isinstance(p, click.Option) and p.required]
    lacking = [repr(p.opts[0]) for p in needed if not given & set(p.opts)]
    return f"Missing options {', '.join(lacking)}." if len(lacking) > 1 else error.format_message()


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        remedy = "" if "; " in error.strerror else "; check the path and its permissions"
        return f"{error.filename}: {error.strerror}{remedy}"
    return str(error) or type(error).__name__


def _at_once(error: Exception, words: Any) -> str:
    """The message; of a table that needs several choices it ends in the command with all of them."""
    from genfun.data.unready import AT_ONCE, Unready

    said = _message(error)
    if not isinstance(error, Unready):
        return said
    flags: list[str] = []
    for name, value in error.needs.items():
        flag = "--" + name.replace("_", "-")
        flags += [flag] if value is True else [part for column in value for part in (flag, str(column))]
    given = sys.argv[1:] if words is None else list(words)
    return said.partition(AT_ONCE)[0] + AT_ONCE + shlex.join(["genfun", *given, *flags])


def _fail(message: str) -> None:
    click.echo("Error: " + printable(" ".join(message.split())), err=True)
    sys.exit(BAD_INPUT)
