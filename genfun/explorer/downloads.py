"""What can be taken away from a view: Python lines, the picture and its table."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from genfun.explorer.averages import NAME as AVERAGED
from genfun.explorer.averages import averaged
from genfun.explorer.given import choices_of
from genfun.explorer.model import POINTS, curve, last_step
from genfun.explorer.problems import average_of, measure, own_noise, pose
from genfun.explorer.state import State
from genfun.plotting import save
from genfun.plotting.style import COLOURS, legend_below, line


def python_lines(state: State, path: str | None = None, name: str | None = None) -> str:
    """Python lines that make the curve of a state.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.
    name : str or None
        What the lines call it; None is the path.

    Raises
    ------
    ValueError
        If the state is invalid.

    Examples
    --------
    >>> print(python_lines(State(problem="power-law")).splitlines()[3])
    problem = gf.PowerLaw(nu=1.5, zeta=0.5, n_modes=1000, noise_variance=0.0)
    """
    measured = own_noise(state, path) is not None
    posed = pose(state, path)
    scheduled, further = state.schedule != "constant", posed.run is not posed.method
    average = average_of(state, posed.method)
    lines = ["import numpy as np", "import genfun as gf"]
    lines += ["from genfun.schedules import Cosine, HoldThenLinear, ScheduledSGD"] * scheduled
    lines += ["from genfun.plotting.style import line"] * (average is not None)
    lines += ["from genfun.data import held_out_rows, tables"] * (state.held_out > 0.0) + [""]
    if state.problem == "power-law":
        exponents = f"nu={state.nu!r}, zeta={state.zeta!r}, n_modes={state.n_modes!r}"
        lines.append(f"problem = gf.PowerLaw({exponents}, noise_variance={state.label_noise!r})")
    else:
        lines += _data_lines(state, path, name or path)
        if not measured:
            lines.append(
                'problem = getattr(data, "problem", data)' if state.problem == "file" else "problem = data.problem"
            )
        if state.label_noise > 0.0:
            variance = f"problem.noise_variance + {state.label_noise!r}"
            lines.append(
                f"problem = gf.LinearProblem(problem.eigenvalues, problem.signal, problem.n_samples, {variance})"
            )
    if not measured:
        noise: Any = posed.noise
        lines.append(f"noise = gf.SpectrallyExpressible(tau1={noise.tau1!r}, tau2={noise.tau2!r})")
    what, which = ("data", "") if measured else ("problem", ", noise")
    lines += [
        f"method = gf.{posed.method!r}",
        *((f"run = {'' if scheduled else 'gf.'}{posed.run!r}",) if further else ()),
        f"steps = np.unique(np.rint(np.geomspace(1, {last_step(posed, state)}, {POINTS})).astype(int))",
        f"prediction = gf.predict({what}, {'run' if further else 'method'}, steps{which})",
        "print(prediction)",
        f"print(gf.stability({what}, method{which}))",
    ]
    if state.held_out > 0.0:
        at = f"{state.steps}, split.X_test, split.y_test, split.X_train"
        lines.append(f"print(gf.predict_test(data, method, {at}))")
    if average is not None:
        number = f"decay={average.decay!r}" if average.kind == "ema" else f"start={average.start!r}"
        lines.append(f"averaged = gf.predict({what}, gf.Averaged(method, {average.kind!r}, {number}), steps{which})")
        lines.append("print(averaged)")
    if state.below == "batch":
        loss = f"float(gf.predict({what}, method, {state.steps}{which}).loss)"
        named = ", noise=noise" * bool(which)
        lines.append(f"print(gf.critical_batch_size({what}, method, loss={loss}{named}))")
    drawn = "prediction.plot()"
    if average is not None:
        lines += [f"ax = {drawn}", f"line(ax, {AVERAGED!r}, steps, averaged.loss)", "ax.legend()"]
        drawn = "ax"
    lines.append(f"gf.plotting.save({drawn}, 'curve.png')  # and curve.csv, all that is drawn")
    return "\n".join(lines) + "\n"


def _data_lines(state: State, path: str | None, name: str | None) -> list[str]:
    """Lines that read the data of a state, with rows held out where they are."""
    model, share = state.problem.removeprefix("mnist-"), state.held_out
    chosen = ", ".join(f"{key}={value!r}" for key, value in choices_of(path, state.target).items())
    if share == 0.0 and state.problem == "file":
        return [f"data = gf.data.load({str(name)!r}{', ' * bool(chosen)}{chosen})"]
    if share == 0.0:
        return [f'data = gf.data.mnist(1000, model="{model}")']
    if state.problem == "file":
        split = f"split_file({str(name)!r}, tables.Choices({chosen}), holdout={share!r})"
    else:
        split = f'split_mnist({share!r}, 1000, model="{model}")'
    return [f"split = held_out_rows.{split}", "data = split.data"]


def files(state: State, path: str | None = None) -> dict[str, bytes]:
    """The picture of the loss curve and the table of all that is drawn in it, by file name.

    Parameters
    ----------
    state : State
    path : str or None
        The user's file.

    Raises
    ------
    ValueError
        If the state is invalid.
    """
    from matplotlib.figure import Figure

    measure(state, path)
    # No pyplot: it is not made for threads.
    figure = Figure(figsize=(6.4, 4.8), dpi=150, layout="constrained")
    ax = curve(state, path).prediction.plot(figure.subplots())
    average = averaged(state, path)
    if average is not None:
        line(ax, AVERAGED, average.steps, average.loss, color=COLOURS[4], zorder=6)
        legend_below(ax, ax.get_legend_handles_labels()[0], 2)
    with tempfile.TemporaryDirectory() as folder:
        save(figure, Path(folder) / "curve.png")
        return {place.name: place.read_bytes() for place in Path(folder).iterdir()}
