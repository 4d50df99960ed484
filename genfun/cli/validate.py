"""`genfun validate`: does the theory hold on these data?"""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from genfun.cli.answer import Answer, answers
from genfun.cli.group import Job, examples
from genfun.cli.options import inputs, preamble
from genfun.cli.output import Block, progress
from genfun.cli.runs import compared, run_options, runnable
from genfun.cli.target import Target, on_target
from genfun.cli.types import REALS, WHOLES


@click.command(
    cls=Job,
    epilog=examples(
        "genfun validate mnist",
        "genfun validate mnist --fast --out theory.png",
        "genfun validate data.csv --target price --batch-sizes 8,32 --momenta 0,0.9 --shares 0.25,0.5,0.8 --json",
    ),
)
@on_target
@click.option("--batch-sizes", type=WHOLES, default="1,10,100", show_default=True, help="Those below N are run.")
@click.option("--momenta", type=REALS, default="0,0.9", show_default=True, help="Momenta.")
@click.option("--shares", type=REALS, default="0.25,0.5", show_default=True, help="Learning rates over the largest.")
@run_options(steps="1000", replicas="64")
@click.option("--fast", is_flag=True, help="At most 200 steps and 40 runs.")
@answers(picture=True)
def validate(
    target: Target,
    batch_sizes: tuple[int, ...],
    momenta: tuple[float, ...],
    shares: tuple[float, ...],
    steps: int,
    replicas: int,
    run_seed: int,
    fast: bool,
) -> Answer:
    """Check the theory on your own data, by simulated SGD.

    At shares of the largest stable learning rate, for each batch size and momentum: predicted and simulated mean loss
    with its standard error. The theory agrees where they differ by at most 2 % and 2.5 standard errors, at seven
    steps from 1 to the last. The exit code is 0 whether it does or not.
    """
    from genfun.experiments.agreement.check_theory import check_theory

    if fast:
        steps, replicas = min(steps, 200), min(replicas, 40)
    data, noise = runnable(target), target.noise
    with progress() as report:
        found = check_theory(
            data,
            noise,
            batch_sizes,
            momenta,
            shares,
            steps,
            replicas,
            run_seed,
            progress=report,
        )
    rows = [
        row | {"verdict_over_steps": word, "worst_ratio": float(ratio)}
        for row, word, ratio in zip(found.rows(), found.verdict, found.worst_ratio, strict=True)
    ]
    shown: list[Block] = [
        *preamble(target),
        *compared(found, replicas, data.n_samples),
    ]
    for share in sorted(shares):
        here = np.isclose(found.shares, share)
        words = [word for word, at in zip(found.verdict, here, strict=True) if at]
        worst = found.worst_ratio[here]
        furthest = worst[np.nanargmax(np.abs(np.log(worst)))] if np.isfinite(worst).any() else np.nan
        shown.append(
            f"at {share:g} of the edge the theory agrees at all steps in {words.count('agrees')} of {len(words)} "
            f"settings; simulated over predicted is {furthest:.3f} where they are furthest apart"
        )

    def draw() -> Any:
        from genfun.plotting.agreement import agreement_panels

        return agreement_panels(found)

    asked = {"steps": steps, "replicas": replicas, "run_seed": run_seed, "shares": shares}
    return Answer(inputs(target, **asked), {"agrees": found.agrees, "settings": rows}, shown, lambda: rows, draw)
