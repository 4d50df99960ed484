"""The ladder of rungs: one setting described with more and more assumptions, to see which of them fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import Displayed, percent
from genfun._typing import Array, Float, Int
from genfun.answers.predict import predict
from genfun.data.linear import LinearData
from genfun.experiments.agreement.agree import Agreement
from genfun.experiments.agreement.diagonal import diagonal_loss
from genfun.experiments.agreement.rung import ASSUMES, ORDER, Network, Rung, paired, steadied
from genfun.experiments.simulation.simulate import simulate
from genfun.methods.base import Method
from genfun.noise import SpectrallyExpressible

LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, eq=False, repr=False)
class Ladder(Displayed):
    """The mean loss on every rung, and where neighbours part.

    Attributes
    ----------
    rungs : tuple of Rung
        From the network down to the spectrally expressible theory.
    method : Method
        As asked.
    relative : float
        Relative difference that still counts as together.
    sigmas : float
        Standard errors allowed beside it.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments.agreement.ladder import ladder
    >>> data = gf.data.translation_invariant([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    >>> ladder(data, gf.SGD(0.5, batch_size=1), [0, 1, 10], ["exact", "diagonal", "spectrally expressible"])
    Ladder(exact = diagonal = spectrally expressible: loss 0.103558 at step 10)
    """

    rungs: tuple[Rung, ...]
    method: Method
    relative: float
    sigmas: float

    @property
    def steps(self) -> Int[Array, " t"]:
        """Steps, the same on every rung."""
        return self.rungs[0].steps

    @property
    def loss(self) -> Float[Array, "rungs t"]:
        """Mean loss."""
        return np.stack([rung.loss for rung in self.rungs])

    @property
    def sem(self) -> Float[Array, "rungs t"]:
        """Standard error of the mean loss."""
        return np.stack([rung.sem for rung in self.rungs])

    def __getitem__(self, name: str) -> Rung:
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise KeyError(f"no rung {name!r}; there are {', '.join(rung.name for rung in self.rungs)}")

    @property
    def neighbours(self) -> tuple[Agreement, ...]:
        """Each rung (mean) against the next one down (theory); runs that saw the same batches are compared in pairs."""
        result = []
        for upper, lower in zip(self.rungs[:-1], self.rungs[1:], strict=True):
            mean, theory, sem = paired(upper, lower)
            # Where both have overflowed nothing tells them apart.
            mean, theory = np.minimum(mean, LARGEST), np.minimum(theory, LARGEST)
            median = mean if upper.runs is None else upper.runs.median
            # Single runs say where a mean is carried by few of them; pairs have a standard error of their own.
            runs = upper.runs if lower.runs is None else None
            result.append(Agreement(self.steps, theory, mean, sem, median, self.relative, self.sigmas, runs))
        return tuple(result)

    def _added(self, place: int) -> str:
        """What the rung after `place` assumes beyond the one there, rungs left out in between included."""
        first, last = (ORDER.index(self.rungs[i].name) for i in (place, place + 1))
        return "; ".join(ASSUMES[name] for name in ORDER[first + 1 : last + 1])

    @property
    def words(self) -> tuple[str, ...]:
        """A sentence for each pair of neighbours."""
        result = []
        for i, pair in enumerate(self.neighbours):
            names = f"{self.rungs[i].name} and {self.rungs[i + 1].name}"
            verdict = np.array(pair.verdict)
            apart = np.flatnonzero(verdict == "differs")
            if apart.size:
                first = apart[0]
                distance = np.abs(np.nan_to_num(pair.ratio, nan=np.inf) - 1.0)
                worst = apart[np.argmax(distance[apart])]
                most = "" if worst == first else f", the most {pair.ratio[worst]:.4g} at step {self.steps[worst]}"
                result.append(
                    f"{names} part at step {self.steps[first]} (ratio {pair.ratio[first]:.4g}{most}): "
                    f"what fails is: {self._added(i)}"
                )
            elif (verdict == "undecided").any():
                first = np.flatnonzero(verdict == "undecided")[0]
                result.append(f"{names} cannot be told apart from step {self.steps[first]} on: too few runs")
            else:
                result.append(f"{names} stay within {percent(self.relative)} + {self.sigmas:g} standard errors")
        return tuple(result)

    def table(self) -> str:
        """A line for each rung and step, then the words."""
        width = max(len("rung"), *(len(rung.name) for rung in self.rungs))
        digits = max(len("step"), len(str(self.steps[-1])))
        lines = [
            f"{'rung':<{width}} {'step':>{digits}} {'loss':>12} {'std. error':>11} {'ratio to next':>14} {'z':>7}"
            "  verdict"
        ]
        pairs = (*self.neighbours, None)
        for rung, pair in zip(self.rungs, pairs, strict=True):
            for i, step in enumerate(self.steps):
                line = f"{rung.name:<{width}} {step:>{digits}} {rung.loss[i]:12.6g} {rung.sem[i]:11.2g}"
                if pair is not None:
                    # Without chance there is no z.
                    z = f"{pair.z[i]:7.2f}" if pair.sem[i] > 0.0 else " " * 7
                    line += f" {pair.ratio[i]:14.4f} {z}  {pair.verdict[i]}"
                lines.append(line)
        return "\n".join([*lines, *self.words])

    def __repr__(self) -> str:
        text = self.rungs[0].name
        for pair, rung in zip(self.neighbours, self.rungs[1:], strict=True):
            verdict = pair.verdict
            sign = "|" if "differs" in verdict else "?" if "undecided" in verdict else "="
            text += f" {sign} {rung.name}"
        return f"Ladder({text}: loss {self.rungs[-1].loss[-1]:.6g} at step {self.steps[-1]})"


def ladder(
    data: LinearData,
    method: Method,
    steps: Any,
    rungs: Sequence[str] | None = None,
    network: Network | None = None,
    replicas: int = 64,
    noise: SpectrallyExpressible = SpectrallyExpressible(),
    relative: float = 0.02,
    sigmas: float = 2.5,
    seed: int = 0,
) -> Ladder:
    r"""The mean loss of one setting on every rung.

    .. math:: \text{network} \to \text{linearised} \to \text{exact} \to \text{measured}
              \to \text{diagonal} \to \text{spectrally expressible}

    Each rung assumes what the one before it does, and something more:

    - "network": a network trained with real batches; nothing. Beside "linearised" its mean is taken as the mean of all
      linearised runs plus the mean difference of those that saw the same batches, which needs few networks.
    - "linearised": `simulate`, the linear model with real batches; the network's kernel is the data's and stays so.
    - "exact": the full second moments; nothing more, but without the chance of finite runs.
    - "measured": the same noise kept in a few vectors of sample space, which is what answers on data assume.
    - "diagonal": their diagonals with the data's own fourth moments, `diagonal_loss`; correlations between modes do
      not feed the noise.
    - "spectrally expressible": `genfun.predict`; tau1 and tau2 stand for the fourth moments.

    **Assumptions.** Those of each rung; w_0 = 0 and fresh batches on all of them. "exact" costs O(n rank^2) a step.
    Near the stability edge the mean is carried by rare runs: then "linearised" and "exact" part without any assumption
    failing, or stay undecided.

    Parameters
    ----------
    data : LinearData
        The data; for a network, those of its linearisation.
    method : Method
        e.g. `SGD(learning_rate=0.5, momentum=-0.3, batch_size=10)`.
    steps : array of ints
        Steps at which the rungs are compared.
    rungs : sequence of str or None
        Which of them; None takes all, "network" only if there is one.
    network : Network or None
        e.g. `TwoLayerReLU(inputs, width=1000)`.
    replicas : int
        Runs of the linearised model; the network says itself how many it makes.
    noise : SpectrallyExpressible
        Of the last rung; `data.noise` is the one fitted to the data.
    relative : float
        Relative difference that still counts as together.
    sigmas : float
        Standard errors allowed beside it.
    seed : int
        Of the batches.

    Returns
    -------
    Ladder
        `.table()` is the text, `.words` say which assumption failed, `.plot()` draws it.

    Raises
    ------
    ValueError
        On an unknown rung, less than one, or a network rung without a network.
    TypeError
        If data is not a LinearData.

    References
    ----------
    arXiv 2206.11124, section 3 and its experiments.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.experiments.agreement.ladder import ladder
    >>> data = gf.data.mnist(40)
    >>> climb = ladder(data, gf.SGD(0.5, batch_size=1), [1, 20], ["exact", "diagonal", "spectrally expressible"])
    >>> climb
    Ladder(exact | diagonal | spectrally expressible: loss ... at step 20)
    >>> climb.words[0]
    "exact and diagonal part at step 20 (ratio 1.109): what fails is: ...diagonal second moments: ..."
    """
    if not isinstance(data, LinearData):
        raise TypeError(f"data must be a LinearData, got {type(data).__name__}; see LinearData.from_features")
    kept = np.unique(_check.steps(steps))
    wanted = [name for name in ORDER if name != "network" or network is not None] if rungs is None else list(rungs)
    unknown = [name for name in wanted if name not in ORDER]
    if not wanted or unknown:
        raise ValueError(f"rungs must be some of {', '.join(ORDER)}, got {unknown}; None takes all")
    if "network" in wanted and network is None:
        raise ValueError("rungs has 'network' but network is None; pass e.g. network=TwoLayerReLU(inputs, width=1000)")
    last = int(kept[-1])
    none = np.zeros(kept.size)
    climbed = []
    for name in ORDER:
        if name not in wanted:
            continue
        if name == "network" and network is not None:
            climbed.append(Rung.from_runs(name, network.train(data, method, kept, seed)))
        elif name == "linearised":
            runs = simulate(data, method, last, replicas, seed=seed, record=kept)
            climbed.append(Rung.from_runs(name, runs))
        elif name in ("exact", "measured"):
            with np.errstate(over="ignore", invalid="ignore"):
                loss = predict(data, method, kept, noise=name).loss
            climbed.append(Rung(name, kept, np.where(np.isnan(loss), np.inf, loss), none))
        elif name == "diagonal":
            climbed.append(Rung(name, kept, diagonal_loss(data, method, last)[kept], none))
        else:
            climbed.append(Rung(name, kept, predict(data.problem, method, kept, noise).loss, none))
    if [rung.name for rung in climbed[:2]] == ["network", "linearised"]:
        climbed[0] = steadied(*climbed[:2])
    return Ladder(
        tuple(climbed), method, _check.nonnegative("relative", relative), _check.nonnegative("sigmas", sigmas)
    )
