"""`genfun optimize` and `genfun phase`: what to choose, and which regime it is in."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import click

from genfun._display import percent
from genfun.cli.answer import Answer, answers
from genfun.cli.cross_entropy import best_answer
from genfun.cli.group import Job, examples
from genfun.cli.held_out import OBJECTIVES, held_out_best
from genfun.cli.options import asked, banded, inputs, notes, preamble, remedy, setting, told
from genfun.cli.target import Target, on_target
from genfun.cli.types import BATCH, REAL, WHOLE


@click.command(
    cls=Job,
    epilog=examples(
        "genfun optimize mnist --batch-size 10 --steps 1000",
        "genfun optimize power-law --nu 1.5 --zeta 2 --n-modes 1000 --batch-size 1 --steps 1e4 --momentum 0",
        "genfun optimize mnist --budget 1e5 --out best.png",
        "genfun optimize mnist --model pixels --holdout 0.2 --batch-size 10 --steps 1000",
        "genfun optimize data.csv --cross-entropy --batch-size 16 --steps 1000",
    ),
)
@partial(on_target, held_out=True, cross_entropy=True)
@click.option("--batch-size", type=BATCH, help="Samples in a batch, or `full`; a --budget alone chooses it.")
@click.option("--steps", type=WHOLE, help="The step at which the loss counts.")
@click.option("--budget", type=REAL, help="Samples, batch size times steps, instead of --steps.")
@click.option("--momentum", type=REAL, help="Fixes it; left out, it is searched.")
@click.option(
    "--max-share-of-edge",
    type=REAL,
    default="1",
    show_default=True,
    help="Rates up to it.",
)
@click.option(
    "--objective",
    type=click.Choice(OBJECTIVES),
    help="Which loss is to be least  [default: train, with --test or --holdout test]",
)
@answers(picture=True)
def optimize(
    target: Target,
    batch_size: int | None,
    steps: int | None,
    budget: float | None,
    momentum: float | None,
    max_share_of_edge: float,
    objective: Any,
) -> Answer:
    """Find the best learning rate, momentum and batch size.

    Of least predicted mean loss at a step, with a given batch size; or within a budget of samples, with the best.
    The loss is that of the training samples; or on rows that are not trained on, by --test, --holdout, or
    --objective test (leave-one-out) and folds (five of them), which need the training samples alone.
    """
    from genfun.answers.best.advice import advice
    from genfun.answers.best.optimize import optimize as ask
    from genfun.answers.words.numbers import batches, loss
    from genfun.answers.words.settings import beta_words

    context = click.get_current_context()
    if budget is None and context.get_parameter_source("batch_size") != click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("give --batch-size, a number or `full`; only a --budget chooses it", context)
    if target.cross_entropy:
        share = context.get_parameter_source("max_share_of_edge") == click.core.ParameterSource.COMMANDLINE
        other = {"--budget": budget, "--objective": objective, "--max-share-of-edge": share or None}
        return best_answer(target, batch_size, steps, momentum, other)
    if target.held_out is not None or objective in ("test", "folds"):
        return held_out_best(target, batch_size, steps, momentum, budget, max_share_of_edge, objective)
    o = ask(target.problem, batch_size, steps, momentum, target.noise, budget, max_share_of_edge=max_share_of_edge)
    m, used = o.method, advice(o)
    # Only without anything to learn is a loss of 0 no tiny one.
    unknown = math.nan if target.problem.signal_total > 0.0 else -math.inf
    use = (
        f"use learning rate {used.method.learning_rate:.4g}, momentum {beta_words(used.method.momentum)}, "
        f"{batches(m.batch_size)}: mean loss {loss(used.chosen.loss, unknown, used.chosen.digits)} at step {o.steps:,}"
    )
    (low, high), (back, forth) = o.learning_rate_range, o.momentum_range
    wide = "given" if momentum is not None else f"{back:.4g} .. {forth:.4g} for 5 % more loss"
    known = f", noise error {o.noise_error:.1e}" if o.noise_error > 0.0 else ""
    shown = [
        *preamble(target),
        use,
        *([used.why] if used.why else []),
        f"least mean loss {loss(o.loss, unknown, o.digits)}{known}",
        f"learning rate {m.learning_rate:.5g}  ({low:.4g} .. {high:.4g} for 5 % more loss; "
        f"{percent(o.share_of_edge)} of the edge)",
        f"momentum      {beta_words(m.momentum)}  ({wide})",
    ]
    shown.append(o.caution)
    if banded(target, m.batch_size) and o.loss_band is not None:
        minus, plus = (loss(end, unknown, 6) for end in o.loss_band)
        shown.append(f"over noise models: {minus} at tau2 = -tau1, {plus} at tau2 = tau1  (this setting)")
    return Answer(
        inputs(target, steps=steps, budget=budget, max_share_of_edge=max_share_of_edge),
        o,
        shown + notes(o.bounds),
        draw=o.plot,
    )


@click.command(
    cls=Job,
    epilog=examples(
        "genfun phase power-law --nu 1.5 --zeta 2 --batch-size 100 --learning-rate 0.4",
        "genfun phase mnist --batch-size 10 --learning-rate 0.5 --momentum 0.5 --out phase.png",
    ),
)
@on_target
@setting
@answers(picture=True)
def phase(target: Target, learning_rate: float, momentum: float, batch_size: int | None) -> Answer:
    """Say which phase a setting is in, and when it changes.

    From the power law of the spectrum, given or fitted.
    """
    from genfun._display import seen
    from genfun.answers import phase as ask
    from genfun.methods import SGD

    method = SGD(learning_rate, momentum, batch_size)
    only = target.expressible
    of, noise = target.partly_own
    f = ask(of, method, noise)
    name = f.name if f.is_power_law else "no phase: the spectrum is no power law"
    shown = [*preamble(target, only), told(method), name]
    if math.isfinite(f.exponent) and f.is_power_law:
        held = f", held at {f.floor:.4g} by label noise" if f.floor > 0.0 else ""
        size = "unknown" if math.isnan(f.constant) else f"{f.constant:.4g}"
        shown.append(f"loss above its least:  {size} t^-{f.exponent:.4g}{held}")
    for what, step in (
        (f"{f.later} takes over", f.transition_step if f.is_power_law else math.inf),
        ("the loss grows", f.divergence_step),
        ("label noise ends the decay", f.floor_step if f.is_power_law and f.floor_step <= f.end_step else math.inf),
        ("the spectrum ends", f.end_step),
    ):
        if seen(step):
            shown.append(f"{what} at step {step:,.0f}")
    shown += remedy("diverges" if "divergence" in f.name else "", target.problem, method, target.noise)
    said = f.notes if f.is_power_law else [note for note in f.notes if note.startswith("not a power law")]
    return Answer(inputs(target, only, method=asked(method)), f, shown + notes(said), draw=f.plot)
