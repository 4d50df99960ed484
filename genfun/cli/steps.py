"""`genfun steps` and `genfun translate`: how long, and the same at another batch size."""

from __future__ import annotations

import math
from typing import Any

import click

from genfun._display import percent
from genfun.cli.answer import Answer, answers, lines_of
from genfun.cli.group import Job, examples
from genfun.cli.options import aim_of, aims, asked, banded, inputs, notes, preamble, remedy, setting, told
from genfun.cli.output import Block, Grid
from genfun.cli.schedule import method_of, scheduled_setting
from genfun.cli.target import Target, on_target
from genfun.cli.types import BATCH, REAL

KEEP = ("samples", "edge")
SHOWN = 5
"""Numbers of samples at which a translation shows its losses."""


@click.command(
    cls=Job,
    epilog=examples(
        "genfun steps mnist --batch-size 10 --learning-rate 0.5 --share 0.1",
        "genfun steps power-law --nu 1.5 --zeta 0.5 --batch-size 1 --learning-rate 0.2 --loss 1e-3 --json",
    ),
)
@on_target
@scheduled_setting
@aims
@answers()
def steps(
    target: Target,
    learning_rate: Any,
    momentum: Any,
    batch_size: Any,
    convention: str,
    loss: float | None,
    share: float | None,
) -> Answer:
    """Count the steps until the mean loss reaches a target.

    Learning rate, momentum and batch size may be schedules, with momentum of torch or of Keras, as for
    `genfun predict`.
    """
    from genfun.answers.band import MINUS, PLUS
    from genfun.answers.predict import predict
    from genfun.answers.stability import stability
    from genfun.answers.steps_to_loss import steps_to_loss as ask
    from genfun.answers.words.numbers import count
    from genfun.methods import SGD
    from genfun.noise import SpectrallyExpressible

    aim, start = aim_of(target, loss, share)
    problem, method = target.problem, method_of(learning_rate, momentum, batch_size, convention)
    # Under a schedule the data's own noise costs milliseconds a step: constants stand for it, as the preamble says.
    only = None if isinstance(method, SGD) else target.expressible
    noise = target.noise if only is None else only
    found = ask(problem, method, aim, noise)
    size = problem.n_samples if batch_size is None else batch_size
    samples = None if size is None or callable(size) else found * size
    epochs = None if samples is None or problem.n_samples is None else samples / problem.n_samples
    result: dict[str, Any] = {"loss": aim, "initial_loss": start, "steps": found, "samples": samples}
    result |= {"epochs": epochs}
    if isinstance(noise, SpectrallyExpressible):
        result |= {"at_tau2_plus": ask(problem, method, aim, PLUS), "at_tau2_minus": ask(problem, method, aim, MINUS)}
    elif math.isfinite(found):
        result |= {"noise_error": float(predict(problem, method, int(found), noise).noise_error)}
    shown: list[Block] = [*preamble(target, only), told(method)]
    shown.append(
        f"loss {aim:.6g}, {aim / start:.4g} times the initial {start:.6g}" if start > 0.0 else f"loss {aim:.6g}"
    )
    if math.isinf(found):
        end = stability(problem, method, noise) if isinstance(method, SGD) else None
        shown.append(f"never reached: {_why(aim, problem, end)}")
        shown += remedy("" if end is None else end.status, problem, method, noise)
    else:
        shown.append(f"steps:   {count(found)}")
        if samples is not None:
            shown.append(f"samples: {count(samples)}" + ("" if epochs is None else f"  ({epochs:,.4g} epochs)"))
    if banded(target, batch_size, only):
        high, low = result["at_tau2_plus"], result["at_tau2_minus"]
        shown.append(f"over noise models: {count(high)} at tau2 = +1, {count(low)} at tau2 = -1  (tau1 = 1)")
    if result.get("noise_error", 0.0) > 0.0:
        shown.append(f"relative error of the loss there by the noise: {result['noise_error']:.1e}")
    return Answer(inputs(target, only, method=asked(method), loss=loss, share=share), result, shown)


def _why(aim: float, problem: Any, end: Any) -> str:
    lowest = 0.5 * problem.noise_variance
    if aim < lowest:
        return f"no loss falls below {lowest:.6g}, half the label noise"
    if end is None:
        return "not by this schedule; `genfun predict` shows what it reaches"
    if end.status != "converges":
        return f"the setting {'diverges' if end.status == 'diverges' else 'is on the edge of stability'} before"
    return f"the loss tends to {lowest + end.floor:.6g}, or takes more than 10^15 steps"


@click.command(
    cls=Job,
    epilog=examples(
        "genfun translate mnist --batch-size 10 --learning-rate 0.1 --momentum 0.9 --to 80",
        "genfun translate power-law --n-modes 1000 --batch-size 1 --learning-rate 0.2 --to 64 --keep edge --json",
    ),
)
@on_target
@setting
@click.option("--to", "to", type=BATCH, required=True, help="The other batch size, or `full`.")
@click.option(
    "--keep",
    type=click.Choice(KEEP),
    default=KEEP[0],
    show_default=True,
    help="The loss after equal numbers of samples, or the share of the edge.",
)
@click.option("--samples", type=REAL, help="Match the loss at this number of samples alone.")
@answers()
def translate(
    target: Target,
    learning_rate: float,
    momentum: float,
    batch_size: int | None,
    to: int | None,
    keep: str,
    samples: float | None,
) -> Answer:
    """Translate a learning rate to another batch size.

    So that the loss after equal numbers of samples is the same, or the distance to the edge of stability; beside it
    what linear and square-root scaling would give.
    """
    from genfun.answers.batch.translate import translate as ask
    from genfun.answers.words.numbers import batch, count, figures
    from genfun.methods import SGD
    from genfun.report.encode import plain

    method = SGD(learning_rate, momentum, batch_size)
    most = target.problem.n_samples
    if to is not None and to < 1:
        raise ValueError(f"--to must be at least 1, got {to}; `full` means the full batch")
    if to is not None and most is not None and to > most:
        raise ValueError(f"--to must be at most {most}, the number of samples, got {to}; `full` means the full batch")
    found = ask(target.problem, method, to, keep, target.noise, samples)  # pyright: ignore[reportArgumentType]
    pick = sorted({round(i * (found.samples.size - 1) / (SHOWN - 1)) for i in range(SHOWN)})
    columns = {
        "samples": found.samples,
        "loss_before": found.loss,
        "loss_after": found.found_loss,
        "loss_linear": found.linear_loss,
        "loss_square_root": found.square_root_loss,
    }
    lines = [
        (count(found.samples[i]), *(figures(column[i]) for name, column in columns.items() if name != "samples"))
        for i in pick
    ]
    shown = [
        *preamble(target),
        told(method),
        f"batch size {batch(batch_size)} to {batch(to)}, {keep} kept",
        f"learning rate:       {found.learning_rate:.6g}  (largest stable {found.max_rate:.6g})",
        f"linear scaling:      {found.linear_rate:.6g}",
        f"square-root scaling: {found.square_root_rate:.6g}",
        Grid(("samples", "loss before", "after", "linear", "square root"), lines),
        f"{found.status}: {found.meaning}; the losses differ by at most {percent(found.deviation, 3)}",
        *notes(found.notes),
    ]
    return Answer(
        inputs(target, method=asked(method), to=to, keep=keep, samples=samples),
        plain(found) | {"meaning": found.meaning},
        shown,
        lambda: lines_of(columns),
    )
