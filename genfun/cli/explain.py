"""`genfun explain`: a setting in words."""

from __future__ import annotations

from functools import partial

import click

from genfun.cli.answer import Answer, answers
from genfun.cli.cross_entropy import words_answer
from genfun.cli.group import Job, examples
from genfun.cli.options import asked, inputs, notes, setting
from genfun.cli.target import Target, on_target
from genfun.cli.types import WHOLE


@click.command(
    cls=Job,
    epilog=examples(
        "genfun explain mnist --batch-size 10 --learning-rate 0.5 --steps 1000",
        "genfun explain mnist --model pixels --batch-size 8 --learning-rate 0.1 --steps 1e4 --out words.txt",
        "genfun explain power-law --nu 1.5 --zeta 2 --n-modes 1000 --batch-size 1 --learning-rate 0.4 --json",
        "genfun explain data.csv --cross-entropy --batch-size 16 --learning-rate 0.1",
    ),
)
@partial(on_target, cross_entropy=True)
@setting
@click.option("--steps", type=WHOLE, default="1000", show_default=True, help="Where the run is looked at.")
@answers()
def explain(target: Target, learning_rate: float, momentum: float, batch_size: int | None, steps: int) -> Answer:
    """Explain a setting in words, and what to change first.

    Whether it converges and how fast, what binds, phase and exponents, when the noise takes over and the spectrum
    ends, where the run is at a step, what batch noise and label noise do, and what the best learning rate,
    momentum or batch size would gain.
    """
    from genfun.answers.words.explain import explain as ask
    from genfun.methods import SGD

    method = SGD(learning_rate, momentum, batch_size)
    if target.cross_entropy:
        return words_answer(target, method, steps)
    _ = target.noise  # measured here, where progress is shown
    found = ask(target.asked, method, steps, target.chosen if target.asked is target.source else target.noise)
    return Answer(
        inputs(target, method=asked(method), steps=steps), found, [target.label, *notes(target.remarks), *found.lines]
    )
