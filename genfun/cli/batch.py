"""`genfun batch-size` and `genfun big-batch`: how large a batch, predicted."""

from __future__ import annotations

import math

import click

from genfun._display import percent
from genfun.cli.answer import Answer, answers, lines_of
from genfun.cli.group import Job, examples
from genfun.cli.options import MOMENTUM, aim_of, aims, asked, inputs, notes, preamble, setting, told
from genfun.cli.output import Block, Grid
from genfun.cli.target import Target, on_target
from genfun.cli.types import REAL, REALS, WHOLES


@click.command(
    "batch-size",
    cls=Job,
    epilog=examples(
        "genfun batch-size mnist --learning-rate 0.3 --share 0.1 --out samples.png",
        "genfun batch-size power-law --nu 1.5 --zeta 0.5 --learning-rate 0.5 --loss 0.01 --step-time 1e-3,1e-5",
    ),
)
@on_target
@click.option("--learning-rate", type=REAL, help="At every batch size; left out, the best at each.")
@MOMENTUM
@aims
@click.option("--step-time", metavar="A,C", help="A step takes A + C b seconds: also the fastest batch size.")
@answers(picture=True)
def batch_size(
    target: Target,
    learning_rate: float | None,
    momentum: float,
    loss: float | None,
    share: float | None,
    step_time: str | None,
) -> Answer:
    """Count steps and samples to a loss at every batch size."""
    from genfun.answers.batch.critical_batch import BEST_RATE, critical_batch_size
    from genfun.methods import SGD

    context = click.get_current_context()
    if learning_rate is None and momentum != 0.0:
        raise click.UsageError("--momentum goes with --learning-rate; leave both out for the best rates", context)
    aim, _ = aim_of(target, loss, share)
    what = BEST_RATE if learning_rate is None else SGD(learning_rate, momentum)
    clock = None
    if step_time is not None:
        clock = REALS.convert(step_time, None, context)
        if len(clock) != 2:
            raise ValueError(f"--step-time must be two numbers A,C, got {step_time!r}; e.g. 1e-3,1e-5")
    c = critical_batch_size(target.problem, what, loss=aim, noise=target.noise, step_time=clock)
    rates = [None if method is None else method.learning_rate for method in c.methods]
    chosen = [i for i, b in enumerate(c.batch_sizes) if b & (b - 1) == 0 or b in (c.batch_size, c.batch_sizes[-1])]
    lines = []
    for i in chosen:
        rate = "" if rates[i] is None else f"{rates[i]:.4g}"
        lines.append((str(c.batch_sizes[i]), rate, f"{c.steps[i]:,.0f}", f"{c.samples[i]:,.0f}"))
    shown: list[Block] = [*preamble(target), f"to loss {aim:.6g}: {c.meaning}"]
    shown.append(Grid(("batch size", "rate", "steps", "samples"), lines))
    if c.batch_size is not None:
        for more, (low, high) in c.ranges.items():
            shown.append(f"at most {percent(more)} more samples than least: batch sizes {low} .. {high}")
    if c.closed_form is not None:
        shown.append(f"signal-phase formula: critical batch size {c.closed_form.batch_size:.4g}")
    if c.fastest is not None:
        shown.append(f"fastest: batch size {c.fastest[0]}, {c.fastest[1]:.4g} s")
    columns = {"batch_size": c.batch_sizes, "learning_rate": rates, "steps": c.steps, "samples": c.samples}
    return Answer(
        inputs(target, loss=aim, step_time=clock),
        c,
        shown + notes(c.notes),
        lambda: lines_of(columns),
        c.plot,
    )


@click.command(
    "big-batch",
    cls=Job,
    epilog=examples(
        "genfun big-batch mnist --learning-rate 0.3 --batch-size 10 --steps 0,10,100,1000 --out growth.png",
        "genfun big-batch mnist --model pixels --learning-rate 0.3 --batch-size 10 --steps 0,100 --theta 0.7 --json",
    ),
)
@on_target
@setting
@click.option("--steps", type=WHOLES, required=True, help="Steps, with commas.")
@click.option("--theta", type=REAL, default="0.5", show_default=True, help="Of the acceptance test.")
@answers(picture=True)
def big_batch(
    target: Target,
    learning_rate: float,
    momentum: float,
    batch_size: int | None,
    steps: tuple[int, ...],
    theta: float,
) -> Answer:
    """Predict the noise scale and Big Batch SGD's batches."""
    from genfun.answers.batch.big_batch import big_batch as ask
    from genfun.answers.batch.noise_scale import noise_scale
    from genfun.answers.words.numbers import loss
    from genfun.methods import SGD

    method = SGD(learning_rate, momentum, batch_size)
    data = target.asked is target.source and isinstance(target.chosen, str)
    only, noise = (None, target.chosen) if data else (target.expressible,) * 2
    fixed = noise_scale(target.asked if data else target.problem, method, steps, noise)
    # The batches that grow know the noise of large data by fitted constants, which the note says.
    grown = ask(target.asked if data else target.problem, method, steps, theta, None if noise == "measured" else noise)
    columns = {"step": steps, "noise_scale": fixed.samples, "batch_grown": grown.batch_size, "loss": grown.loss}
    rows = lines_of(columns)
    unknown = math.nan if target.problem.signal_total > 0.0 else -math.inf
    lines = [
        (f"{r['step']:,}", f"{r['noise_scale']:,.4g}", f"{r['batch_grown']:,.4g}", loss(r["loss"], unknown, 4))
        for r in rows
    ]
    shown: list[Block] = [*preamble(target, only), told(method)]
    shown.append(Grid(("step", "noise scale, batch fixed", "batch grown", "loss, batch grown"), lines))
    shown.append("noise scale: batch size at which noise and gradient are equally large, with the batch size fixed")
    left_out = max((error for error in fixed.noise_error.flat if error > 0.0), default=0.0)
    if left_out > 0.0:
        shown.append(f"by the noise of these data, which is measured, it is known to {percent(left_out, 1)}")
    shown += [f"note: grown batches by {note}" for note in grown.notes]
    if grown.full_batch_step is not None:
        shown.append(f"the grown batch is full from step {grown.full_batch_step:,}")
    return Answer(
        inputs(target, only, method=asked(method), theta=theta),
        {"noise_scale": fixed, "big_batch": grown},
        shown,
        lambda: rows,
        grown.plot,
    )
