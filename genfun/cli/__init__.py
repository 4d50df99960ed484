"""The command line: parse, call, print."""

from __future__ import annotations

import click

from genfun._version import __version__
from genfun.cli.batch import batch_size, big_batch
from genfun.cli.best import optimize, phase
from genfun.cli.best_schedule import best_schedule
from genfun.cli.completion import completion
from genfun.cli.convert import convert
from genfun.cli.derive import derive
from genfun.cli.doctor import doctor
from genfun.cli.escape import escape
from genfun.cli.explain import explain
from genfun.cli.explore import explore
from genfun.cli.group import Jobs, examples
from genfun.cli.map import loss_map
from genfun.cli.measure_steps import measure_steps
from genfun.cli.measured_batch import critical_batch, noise_scale
from genfun.cli.prune import prune
from genfun.cli.report import report
from genfun.cli.steps import steps, translate
from genfun.cli.sweep import sweep
from genfun.cli.training import max_lr, predict, stability
from genfun.cli.validate import validate

__all__ = ["main"]

JOBS = {
    "The whole picture": (report, explain, explore),
    "Which settings": (optimize, best_schedule, max_lr, loss_map, translate),
    "How it trains": (predict, steps, stability, phase, escape),
    "Batch size": (batch_size, critical_batch, noise_scale, big_batch),
    "Against real runs": (validate, sweep, prune, measure_steps),
    "Tools": (convert, derive, doctor, completion),
}


@click.group(
    cls=Jobs,
    jobs=JOBS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "genfun report mnist",
        "genfun explain mnist --batch-size 10 --learning-rate 0.5 --steps 1000",
        "genfun optimize mnist --batch-size 10 --steps 1000",
        "genfun max-lr mnist --batch-size 10 --momentum 0.9",
        "genfun predict mnist --batch-size 10 --learning-rate 0.5 --steps 100,1e4,1e6",
    ),
)
@click.version_option(__version__, prog_name="genfun")
@click.option("--traceback", is_flag=True, help="Show where an error comes from instead of one line.")
def main(traceback: bool) -> None:
    """Loss curves, stability and best settings of mini-batch SGD on linear models, without training.

    A TARGET is `mnist` (real digits, inside the package), `power-law` (with --nu and --zeta), or your own table
    (.csv, .tsv, .parquet) or arrays (.npz). The exit code is 0 on success and 2 for bad input, with one line that
    names the argument, the value and the remedy.
    """
