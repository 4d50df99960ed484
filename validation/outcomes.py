"""What training gains from the advice of `optimize`, in real runs: against habits, a rate finder and searches.

Each way to choose a setting is tried on six small tasks with batches of 10 and 300 steps, 40 runs each, with fresh
batches and in epochs. Its loss is the mean over runs at the end, where a run that ends above its start counts as its
start, over that of the best constant setting: a grid of 192 and a finer one about its best, chosen by runs of other
seeds. Random search draws (log of the rate, log of 1 - momentum) evenly and keeps the trial of least loss on all rows;
so does Optuna's TPE, which learns from its trials: it is tried where Optuna is installed, which nothing here needs
otherwise. `python -m validation.outcomes` writes docs/img/outcomes.{png,csv}; for TPE, `pip install optuna` first.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import genfun as gf
from genfun.experiments import simulate_many
from validation.claim import Claim
from validation.noise_edges import DOCS
from validation.outcome_tasks import Adam, Momentum, Task, tasks, train

BATCH, STEPS, RUNS, POOL = 10, 300, 40, 200
"""b; T; runs of each way; random settings of which searches draw theirs."""
TRIALS = (10, 30, 100)
MOMENTA = (-0.5, 0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
ADVICE, CAREFUL = "advice", "advice, 0.8 of edge"
ORDERS = ("fresh", "epochs")


@dataclass(frozen=True)
class Outcome:
    """One way to choose a setting, on one task."""

    task: str
    order: str
    way: str
    runs_needed: float
    """Runs made before the one that counts; of random search the median number of trials to within 5 %."""
    ratio: float
    """Mean loss over that of the best constant setting."""
    excess: float
    """The same above the least loss that any weights have."""
    median: float
    """Median loss over the median of the best constant setting."""
    diverged: float
    """Share of runs that end above their start."""
    setting: str = ""


class Bench:
    """One task with one order of batches."""

    def __init__(self, task: Task, order: Any, runs: int) -> None:
        self.task, self.order, self.runs = task, order, runs
        self.data = task.data
        self.start = 0.5 * float(np.mean(task.y**2))
        self.floor = 0.5 * self.data.problem.noise_variance

    def ends(self, settings: list[gf.SGD], seed: int, runs: int | None = None) -> np.ndarray:
        """Final losses, settings x runs."""
        done = simulate_many(
            self.data, settings, STEPS, runs or self.runs, "cpu", seed, [STEPS], dtype="float64", order=self.order
        )
        return np.nan_to_num(np.array([r.loss[:, -1] for r in done]), nan=np.inf)

    def mean(self, ends: np.ndarray) -> np.ndarray:
        return np.minimum(ends, self.start).mean(axis=-1)

    def best_constant(self) -> gf.SGD:
        """The setting of least mean loss: a grid, then a finer one about its best, by seeds used for nothing else."""
        top = 2.0 / self.data.problem.lambda_max
        grid = [gf.SGD(top * 1.5**-k, m, BATCH) for k in range(24) for m in MOMENTA]
        found = grid[int(np.argmin(self.mean(self.ends(grid, 1))))]
        left = 1.0 - found.momentum
        near = [(found.learning_rate * 1.2**i, 1.0 - left * 1.3**j) for i in range(-2, 3) for j in range(-2, 3)]
        finer = [gf.SGD(rate, m, BATCH) for rate, m in near if m > -1.0]
        return finer[int(np.argmin(self.mean(self.ends(finer, 1))))]

    def constants(self, fast: bool) -> dict[str, gf.SGD]:
        """Ways that end in one constant setting without a run."""
        ask = partial(gf.optimize, self.data, batch_size=BATCH, steps=STEPS)
        found = {ADVICE: ask().method, CAREFUL: ask(max_share_of_edge=0.8).method}
        if self.order == "epochs" and not fast:
            found["advice for epochs"] = ask(method=gf.SGD(1.0, sampling="epochs")).method
        for rate in (0.1, 0.01, 0.001):
            found[f"{rate:g} / 0.9"] = gf.SGD(rate, 0.9, BATCH)
        found["1 / largest eigenvalue"] = gf.SGD(1.0 / self.data.problem.lambda_max, 0.0, BATCH)
        return {way: gf.SGD(m.learning_rate, m.momentum, BATCH) for way, m in found.items()}

    def finder(self) -> np.ndarray:
        """Ends of runs at a tenth of the rate of least loss, each run with a sweep of 100 rates of its own before."""
        rates = np.logspace(-6, 1, 100)
        rule = Momentum(lambda t: float(rates[t]))
        swept = train(self.task, rule, len(rates), BATCH, self.runs, self.order, 3, every=True)
        chosen = rates[np.argmin(np.nan_to_num(swept, nan=np.inf), axis=1)] / 10.0
        apart, which = np.unique(chosen, return_inverse=True)
        return self.ends([gf.SGD(rate, 0.9, BATCH) for rate in apart], 0)[which, np.arange(self.runs)]

    def searches(self, best: float) -> Iterator[tuple[int, float, np.ndarray]]:
        """Trials, the median number of them that comes within 5 %, and the ends of what is chosen after so many."""
        rng = np.random.default_rng(4)
        rates, left = 10.0 ** rng.uniform(-4, 0, POOL), 10.0 ** rng.uniform(-2, 0, POOL)
        pool = [gf.SGD(rate, 1.0 - x, BATCH) for rate, x in zip(rates, left, strict=True)]
        seen, fresh = self.ends(pool, 2), self.ends(pool, 0)
        order = np.array([rng.permutation(POOL)[: max(TRIALS)] for _ in range(self.runs)])
        chosen = np.take_along_axis(order, _kept(seen[order, np.arange(self.runs)[:, None]]), axis=1)
        yield from self._after_trials(fresh[chosen], best)

    def tuned(self, best: float) -> Iterator[tuple[int, float, np.ndarray]]:
        """The same for Optuna's TPE: a study for each run, all of them a trial further at a time."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        studies = [optuna.create_study(sampler=optuna.samplers.TPESampler(seed=r)) for r in range(self.runs)]
        asked: list[list[gf.SGD]] = []
        trial = np.empty((self.runs, max(TRIALS)))
        for k in range(max(TRIALS)):
            trials = [study.ask() for study in studies]
            rates = [t.suggest_float("rate", 1e-4, 1.0, log=True) for t in trials]
            left = [t.suggest_float("left", 1e-2, 1.0, log=True) for t in trials]
            asked.append([gf.SGD(rate, 1.0 - x, BATCH) for rate, x in zip(rates, left, strict=True)])
            trial[:, k] = np.minimum(self.ends(asked[-1], 100 + k, runs=1)[:, 0], self.start)
            for study, t, loss in zip(studies, trials, trial[:, k], strict=True):
                study.tell(t, float(loss))
        kept = _kept(trial)
        places = sorted({(r, int(k)) for r in range(self.runs) for k in kept[r]})
        fresh = dict(zip(places, self.ends([asked[k][r] for r, k in places], 0), strict=True))
        yield from self._after_trials(np.array([[fresh[r, int(k)] for k in kept[r]] for r in range(self.runs)]), best)

    def _after_trials(self, ends: np.ndarray, best: float) -> Iterator[tuple[int, float, np.ndarray]]:
        """What searches have after some trials, from the ends of what each has kept: searches x trials x runs."""
        near = self.mean(ends) <= 1.05 * best
        needed = np.where(near.any(axis=1), near.argmax(axis=1) + 1.0, np.inf)
        for count in TRIALS:
            yield count, float(np.median(needed)), ends[np.arange(self.runs), count - 1, np.arange(self.runs)]

    def outcomes(self, fast: bool) -> Iterator[Outcome]:
        best = self.best_constant()
        yardstick = self.ends([best], 0)[0]
        least = float(self.mean(yardstick))

        def outcome(way: str, ends: np.ndarray, needed: float = 0.0, m: gf.SGD | None = None) -> Outcome:
            mean = float(self.mean(ends))
            middle = float(np.median(np.minimum(ends, self.start)) / np.median(np.minimum(yardstick, self.start)))
            return Outcome(
                self.task.name, self.order, way, needed, mean / least, (mean - self.floor) / (least - self.floor),
                middle, float(np.mean(~(ends <= self.start))), f"{m.learning_rate:.4g} / {m.momentum:.4g}" if m else "",
            )  # fmt: skip

        yield outcome("best constant", yardstick, np.inf, best)
        settings = self.constants(fast)
        for (way, m), ends in zip(settings.items(), self.ends(list(settings.values()), 0), strict=True):
            yield outcome(way, ends, 0.0, m)
        rules: dict[str, Callable[[], Momentum | Adam]] = {
            "0.1 / 0.9, cosine to 0": lambda: Momentum(lambda t: 0.05 * (1.0 + np.cos(np.pi * t / STEPS))),
            "Adam 0.001": Adam,
        }
        for way, rule in rules.items():
            yield outcome(way, train(self.task, rule(), STEPS, BATCH, self.runs, self.order, 0))
        yield outcome("rate finder / 0.9", self.finder(), 1.0)
        for count, needed, ends in self.searches(least):
            yield outcome(f"random search, {count}", ends, needed)
        if importlib.util.find_spec("optuna") is not None and not fast:
            for count, needed, ends in self.tuned(least):
                yield outcome(f"Optuna's TPE, {count}", ends, needed)


def _kept(losses: np.ndarray) -> np.ndarray:
    """Which trial of each search is the best so far: searches x trials."""
    return np.array([[np.argmin(row[: k + 1]) for k in range(len(row))] for row in losses])


def all_outcomes(fast: bool = False) -> list[Outcome]:
    """Every way on every task; the fast part has one task, fewer runs and fresh batches only."""
    found: list[Outcome] = []
    for task in tasks(fast):
        for order in ORDERS[:1] if fast else ORDERS:
            for o in Bench(task, order, 10 if fast else RUNS).outcomes(fast):
                found.append(o)
    return found


def claims(fast: bool = False) -> list[Claim]:
    result, source = [], "runs; grid over learning rate and momentum"
    for o in all_outcomes(fast):
        if o.way in (ADVICE, CAREFUL):
            note = f"above the floor {o.excess:.3f}; median {o.median:.3f}; setting {o.setting}"
            words = f"{o.task}, {o.order}, {o.way}: mean loss over that of the best constant setting"
            result.append(Claim(words, o.ratio, 1.0, 0.05, "approximate", source, note))
    return result


def draw(found: list[Outcome]) -> Any:
    """Loss over the best, a column of points for each way and a mark for each task; hollow where runs diverged."""
    from matplotlib.figure import Figure

    fresh = [o for o in found if o.order == "fresh" and o.way != "best constant"]
    ways, names = list(dict.fromkeys(o.way for o in fresh)), list(dict.fromkeys(o.task for o in fresh))
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    ax = figure.subplots()
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#000000")
    # Learning rate / momentum, where a way is a setting.
    for i, (name, marker, colour) in enumerate(zip(names, "osD^vP", colours, strict=False)):
        mine = [o for o in fresh if o.task == name]
        y = [len(ways) - 1 - ways.index(o.way) + 0.1 * (2.5 - i) for o in mine]
        ax.plot([], [], marker, color=colour, label=name)
        for o, at in zip(mine, y, strict=True):
            face = "white" if o.diverged > 0.0 else colour
            ax.plot(max(o.ratio, 0.9), at, marker, color=colour, markerfacecolor=face, markersize=5.5)
    ax.axvline(1.0, color="0.6", linewidth=1.0, zorder=0)
    ax.set_xscale("log")
    ticks = [x for x in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0) if x <= 1.1 * max(o.ratio for o in fresh)]
    ax.set_xticks(ticks, [f"{x:g}" for x in ticks])
    ax.minorticks_off()
    ax.set_yticks(range(len(ways)), ways[::-1])
    ax.set_xlabel("mean loss over that of the best constant setting (hollow: some runs diverged)", loc="right")
    ax.legend(loc="upper center", bbox_to_anchor=(0.4, 1.14), ncols=3, frameon=False)
    ax.grid(axis="y", color="0.92")
    return figure


def main() -> None:
    found = all_outcomes()
    fields = list(Outcome.__dataclass_fields__)
    with (DOCS / "img" / "outcomes.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(fields)
        for o in found:
            values = [getattr(o, f) for f in fields]
            writer.writerow([f"{v:.5g}" if isinstance(v, float) else v for v in values])
    draw(found).savefig(DOCS / "img" / "outcomes.png", dpi=150)


if __name__ == "__main__":
    main()
