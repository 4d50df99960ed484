"""`genfun convert`: learning rate and momentum in another library's convention."""

from __future__ import annotations

import click

from genfun.cli.answer import Answer, answers
from genfun.cli.group import Job, examples
from genfun.cli.options import notes
from genfun.cli.types import real

CONVENTIONS = ("paper", "torch", "keras", "sutskever", "ema", "qhm")
TRUTH = {"true": True, "false": False}


@click.command(
    cls=Job,
    epilog=examples(
        "genfun convert torch ema lr=0.1 momentum=0.9",
        "genfun convert torch qhm lr=0.1 momentum=0.9 nesterov=true",
        "genfun convert ema paper learning_rate=1 momentum=0.9 --json",
    ),
)
@click.argument("source", metavar="FROM", type=click.Choice(CONVENTIONS))
@click.argument("target", metavar="TO", type=click.Choice(CONVENTIONS))
@click.argument("settings", metavar="NAME=VALUE...", nargs=-1, required=True)
@answers()
def convert(source: str, target: str, settings: tuple[str, ...]) -> Answer:
    """Convert learning rate and momentum between conventions.

    FROM and TO are paper (genfun's own), torch, keras, sutskever, ema (normalised heavy ball) or qhm. Settings are
    named as the convention names them: lr, momentum, dampening, nesterov for torch; lr, momentum, nu for qhm;
    learning_rate, momentum for the others, and nesterov for keras and sutskever.
    """
    from genfun.answers.convert import convert as ask

    given: dict[str, float | bool] = {}
    for word in settings:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ValueError(f"settings are written name=value, got {word!r}; e.g. momentum=0.9")
        if name in given:
            raise ValueError(f"{name} is given twice; keep one")
        try:
            given[name] = TRUTH[value.lower()] if value.lower() in TRUTH else real(value)
        except ValueError:
            raise ValueError(f"{name} must be a number, true or false, got {value!r}") from None
    found = ask(given, source, target)  # pyright: ignore[reportArgumentType]
    width = max(map(len, found.settings))
    values = {
        name: value if isinstance(value, bool) else format(value, ".10g") for name, value in found.settings.items()
    }
    shown = [f"{name:<{width}}  {value}" for name, value in values.items()]
    shown.append("the same iterates at every step" if found.identical else "not quite the same iterates:")
    return Answer({"source": source, "target": target, "settings": given}, found, shown + notes(found.notes))
