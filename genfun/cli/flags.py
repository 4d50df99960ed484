"""The library's words for arguments as they are written on the command line: batch_size=None is --batch-size full."""

from __future__ import annotations

import re
from collections.abc import Mapping

import click

VERBS = "give either|give|giving|pass|lower|raise|drop|set|use|leave|either"
TWICE = re.compile(r"\w+=\w* \((--[\w-]+)\)")
"""An argument with its option behind it, drop_missing=True (--drop-missing)."""
FLAG = re.compile(r"(?<![\w-])--[a-z]|, (line|row) \d")
"""Of a message that has the command line's words already, or a table's own."""
PATTERN = re.compile(
    r"(?P<call>[A-Za-z_][\w.]*\([^()]*=[^()]*\))"  # SGD(learning_rate=0.1), which is no option
    r"|(?P<both>got (?P<one>\w+)=(?P<first>\S+) and (?P<other>\w+)=(?P<second>[^\s,;]+))"
    r"|\b(?P<name>[a-z]\w*)=(?P<value>'[^']*'|\[[^]]*\]|-?[\w.+-]*\w)?"
    r"|\b(?:problem\.|method\.)?(?P<none>[a-z]\w*)(?: is)? None\b"
    r"|(?P<quoted>'[^']*'|\"[^\"]*\")"
    r"|(?P<path>\S*[/\\]\S*|--[\w-]+)"
    r"|(?P<bare>\bNone means the full batch)"
    rf"|(?P<verb>\b(?:{VERBS}) )(?P<chosen>[a-z]\w*(?:(?: and | or )[a-z]\w*)*)\b(?![.=])"
    r"|\b(?:problem\.|method\.)?(?P<long>[a-z]\w*_\w+)\b"
)
HINT = re.compile(r"(?<![\w'-])(?P<name>[a-z_]+)(?:=(?= )|(?= (?:makes|adds|leaves) )|(?<=by drop)$)")
"""An argument in a remark about a table: "standardize makes them even"."""
SUBJECT = re.compile(r"(?:^|(?<=: ))(?P<name>[a-z]\w*)(?=(\[\d+\])? (must|is|has|holds|takes|needs|goes|cannot)\b)")
MANY = {"momentum": "momenta", "learning_rate": "learning_rates", "batch_size": "batch_sizes"}
NO_WORDS = ("out", "as_json", "to", "by", "x", "y")
"""Options that no message of the library is about, whose names are other words."""
RENAMED = {"target": "column", "noise": "noise_name", "last_step": "steps", "best_step": "best_at"}
"""Arguments of the library that commands call otherwise."""
OTHERS = {
    "pass a SpectrallyExpressible, or noise='fitted' with data": "give --tau1 and --tau2, or with data --noise fitted",
    "pass a SpectrallyExpressible, or noise='measured' with data": "give --tau1 and --tau2, or data as TARGET",
    "use local_exponent on its predicted curve": "`genfun explain` tells how the loss moves at a step",
    "use LinearProblem for a few separated modes": "a few separated modes are a spectrum in an .npz",
    "pass the LinearData in place of its problem": "give data as TARGET",
    "max_learning_rate gives that edge": "`genfun max-lr` gives that edge",
}
"""Remedies that are others on the command line."""


def in_flags(text: str, options: Mapping[str, str]) -> str:
    """A message of the library with the options of a command in place of arguments.

    Parameters
    ----------
    text : str
        e.g. "batch_size must be at most n_samples=9, got 10; batch_size=None means the full batch"
    options : mapping of str to str
        Flags by the names of arguments.

    Examples
    --------
    >>> options = {"steps": "--steps", "budget": "--budget", "batch_size": "--batch-size"}
    >>> in_flags("give either steps or budget, got steps=None and budget=None", options)
    'give either --steps or --budget, got neither'
    >>> in_flags("batch_size must be at most n_samples=9, got 10; batch_size=None means the full batch", options)
    '--batch-size must be at most 9, the number of samples, got 10; --batch-size full means the full batch'
    """
    text = TWICE.sub(r"\1", text)
    if FLAG.search(text):
        return text
    for python, ours in OTHERS.items():
        text = text.replace(python, ours)
    flags = {one: options[many] for one, many in MANY.items() if many in options} | dict(options)

    def put(found: re.Match[str]) -> str:
        if found["both"] and {found["one"], found["other"]} <= set(flags):
            missing = [found["first"], found["second"]].count("None")
            return ("got both", found["both"], "got neither")[missing] if missing != 1 else found["both"]
        if found["name"]:
            return _given(found["name"], found["value"], flags) or found[0]
        if found["none"] in flags:
            return _given(found["none"], "None", flags)
        if found["bare"]:
            return "`full` means the full batch"
        if found["chosen"]:
            words = re.split(r"( and | or )", found["chosen"])
            return found["verb"] + "".join(flags.get(word, word) for word in words)
        return flags.get(found["long"] or "", found[0])

    return SUBJECT.sub(lambda found: flags.get(found["name"], found[0]), PATTERN.sub(put, text))


def _given(name: str, value: str | None, flags: Mapping[str, str]) -> str:
    """An argument with its value, or "" where it is no option."""
    if name == "n_samples" and value:
        return f"{value}, the number of samples"
    if name not in flags:
        return ""
    flag = flags[name]
    if value == "None":
        return f"{flag} full" if name.startswith("batch_size") else f"no {flag}"
    if value in (None, "True"):
        return flag
    return f"{flag} {value.strip(chr(39)).strip('[]').replace(', ', ',')}"


def options_of(command: click.Command) -> dict[str, str]:
    """The flags of a command by the names of the arguments that they stand for.

    Parameters
    ----------
    command : click.Command
    """
    given = [param for param in command.params if isinstance(param, click.Option) and param.name not in NO_WORDS]
    flags = {str(param.name): next(name for name in param.opts if name.startswith("--")) for param in given}
    return flags | {name: flags[ours] for name, ours in RENAMED.items() if ours in flags}


def told(text: str) -> str:
    """A remark of the library in the words of the command that runs, if one does.

    Parameters
    ----------
    text : str
    """
    context = click.get_current_context(silent=True)
    flags = {} if context is None else options_of(context.command)
    return HINT.sub(lambda found: flags.get(found["name"], found[0]), text)
