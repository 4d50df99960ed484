"""Single answers: `genfun max-lr`, `genfun stability`, `genfun predict`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

from genfun.cli.group import examples
from genfun.cli.output import emit_json, say, table
from genfun.cli.target import Target, on_target
from genfun.cli.types import BATCH, REAL, WHOLES

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
MOMENTUM = click.option("--momentum", type=REAL, default="0", show_default=True, help="beta, between -1 and 1.")
BATCH_SIZE = click.option("--batch-size", type=BATCH, required=True, help="b, samples in a batch, or `full`.")
RATE = click.option("--learning-rate", type=REAL, required=True, help="alpha, in torch's convention.")


def setting(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that most answers take.

    Parameters
    ----------
    command : callable
        What is decorated.
    """
    for option in (AS_JSON, BATCH_SIZE, MOMENTUM):
        command = option(command)
    return command


def aims(command: Callable[..., Any]) -> Callable[..., Any]:
    """The two options that name a loss to reach.

    Parameters
    ----------
    command : callable
        Takes `loss` and `share`, of which `aim_of` makes the target.
    """
    share = click.option("--share", type=REAL, help="The target as a share of the initial loss, instead of --loss.")
    return click.option("--loss", type=REAL, help="The target, in units of the loss.")(share(command))


def aim_of(target: Target, loss: float | None, share: float | None) -> tuple[float, float]:
    """The loss to reach, and the initial loss.

    Parameters
    ----------
    target : Target
    loss, share : float or None
        One of them.
    """
    if (loss is None) == (share is None):
        raise click.UsageError(
            f"give either --loss or --share, got {'neither' if loss is None else 'both'}", click.get_current_context()
        )
    start = 0.5 * (target.problem.signal_total + target.problem.noise_variance)
    if share is None:
        assert loss is not None
        return loss, start
    if not 0.0 < share < math.inf:
        raise ValueError(f"--share must be a positive number, got {share}; 0.1 is a tenth of the initial loss")
    return share * start, start


def preamble(target: Target) -> None:
    """What the answer is about, in two lines.

    Parameters
    ----------
    target : Target
    """
    say(f"{target.label}: {target.problem!r}")
    say(f"batch noise: tau1 = {target.noise.tau1:.4g}, tau2 = {target.noise.tau2:.4g} ({target.noise_source})")


def banded(target: Target, batch_size: int | None) -> bool:
    """Whether the noise model is a guess, so that the band over tau2 belongs to the answer.

    Parameters
    ----------
    target : Target
    batch_size : int or None
    """
    return target.noise_source != "given" and batch_size is not None and batch_size != target.problem.n_samples


def inputs(target: Target, **setting: Any) -> dict[str, Any]:
    """What was asked, for the JSON.

    Parameters
    ----------
    target : Target
    **setting
        Further inputs.
    """
    noise = {"tau1": target.noise.tau1, "tau2": target.noise.tau2, "source": target.noise_source}
    return target.inputs | {"noise": noise, "n_samples": target.problem.n_samples} | setting


@click.command(
    "max-lr",
    epilog=examples(
        "genfun max-lr mnist --batch-size 10 --momentum 0.9",
        "genfun max-lr power-law --nu 1.5 --zeta 0.5 --batch-size 1 --json",
        "genfun max-lr data.csv --column price --batch-size full",
    ),
)
@on_target
@setting
def max_lr(target: Target, momentum: float, batch_size: int | None, as_json: bool) -> None:
    """Print the largest learning rate that converges.

    With what binds: batch noise, U~(1) = 1, or curvature, 2(1+beta)/lambda_max, which is all that the popular
    formula for momentum knows of; and with the band over noise models, tau2 from +1 to -1.
    """
    from genfun.report.encode import plain
    from genfun.report.limits import rate_limit
    from genfun.report.words import batch

    answer = rate_limit(target.problem, momentum, batch_size, target.noise)
    if as_json:
        emit_json("max-lr", inputs(target, momentum=momentum, batch_size=batch_size), plain(answer))
        return
    preamble(target)
    low, high = sorted((answer.at_tau2_plus, answer.at_tau2_minus))
    say(f"batch size {batch(batch_size)}, momentum {momentum:g}")
    say(f"largest stable learning rate: {answer.learning_rate:.6g}  (limited by {answer.limit})")
    say(f"effective, alpha/(1-beta):    {answer.effective_learning_rate:.6g}")
    say(f"over noise models:            {low:.6g} .. {high:.6g}  (tau1 = 1, tau2 = +1 and -1)")
    say(f"2(1+beta)/lambda_max:         {answer.popular:.6g}  ({answer.factor:.3g} times the answer)")


@click.command(
    epilog=examples(
        "genfun stability mnist --batch-size 10 --learning-rate 0.5",
        "genfun stability power-law --nu 0.9 --batch-size 10 --learning-rate 0.1 --momentum 0.5 --json",
    )
)
@on_target
@RATE
@setting
def stability(target: Target, learning_rate: float, momentum: float, batch_size: int | None, as_json: bool) -> None:
    """Say whether a setting converges, how fast, and what binds."""
    from genfun.answers import stability as ask
    from genfun.methods import SGD
    from genfun.report.encode import plain

    optimizer = SGD(learning_rate, momentum, batch_size)
    answer = ask(target.problem, optimizer, target.noise)
    if as_json:
        emit_json("stability", inputs(target, optimizer=plain(optimizer)), plain(answer))
        return
    preamble(target)
    say(repr(optimizer))
    say(f"{answer.status}; as the learning rate grows, {answer.limit} is the first to bind")
    say(f"noise gain U~(1):       {answer.noise_gain:.6g}  (stable below 1)")
    say(f"late growth of log L:   {answer.growth_rate:.6g} per step")
    say(f"excess loss at the end: {answer.floor:.6g}  (left by label noise)")


@click.command(
    epilog=examples(
        "genfun predict mnist --batch-size 10 --learning-rate 0.5 --steps 0,100,1000,1e6",
        "genfun predict mnist --model pixels --n 4000 --batch-size 8 --learning-rate 0.1 --steps 1000",
        "genfun predict power-law --nu 1.2 --batch-size 10 --learning-rate 0.3 --steps 1e3,1e9 --json",
    )
)
@on_target
@RATE
@click.option("--steps", type=WHOLES, required=True, help="Steps, e.g. 100,1000,1e6.")
@setting
def predict(
    target: Target,
    learning_rate: float,
    momentum: float,
    batch_size: int | None,
    steps: tuple[int, ...],
    as_json: bool,
) -> None:
    """Predict the mean loss at given steps.

    Unless --tau1 or --tau2 say what the batch noise is, with the losses under two other models of it, tau1 = 1 and
    tau2 = +1 or -1.
    """
    from genfun.answers import predict as ask
    from genfun.answers._band import loss_band
    from genfun.methods import SGD
    from genfun.report import words
    from genfun.report.encode import plain

    optimizer = SGD(learning_rate, momentum, batch_size)
    answer = ask(target.problem, optimizer, list(steps), target.noise)
    band = loss_band(target.problem, optimizer, list(steps))
    if as_json:
        parts = ("steps", "loss", "error", "log_loss", "status", "meaning", "route")
        result = {part: plain(getattr(answer, part)) for part in parts}
        result |= {"at_tau2_plus": plain(band.plus), "at_tau2_minus": plain(band.minus)}
        emit_json("predict", inputs(target, optimizer=plain(optimizer)), result)
        return
    preamble(target)
    say(repr(optimizer))
    columns = [(answer.loss, answer.log_loss, 6)]
    headings = ["mean loss"]
    if banded(target, batch_size):
        columns += [(band.plus, band.log_plus, 4), (band.minus, band.log_minus, 4)]
        headings += ["tau2 = +1", "tau2 = -1"]
    table(
        ("step", *headings, "relative error"),
        [
            (
                f"{t:,}",
                *(words.loss(float(loss[i]), float(log[i]), digits) for loss, log, digits in columns),
                f"{answer.error[i]:.1e}",
            )
            for i, t in enumerate(answer.steps)
        ],
    )
    say(f"{answer.status}: {answer.meaning}")
    if len(columns) > 1:
        say("tau2 = +1 and -1, tau1 = 1: translation-invariant and Gaussian data")
