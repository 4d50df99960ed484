"""The rungs between a trained network and the generating function: each adds one assumption to the one above it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from genfun._typing import Array, Float, Int
from genfun.data.linear import LinearData
from genfun.experiments.simulation.runs import Runs
from genfun.methods.base import Method

Name = Literal["network", "linearised", "exact", "measured", "diagonal", "spectrally expressible"]
ASSUMES: dict[Name, str] = {
    "network": "nothing",
    "linearised": "linearisation: the network's kernel is the data's and does not move",
    "exact": "fresh batches, nothing else; the runs may be too few for a mean carried by rare ones",
    "measured": "the data's own noise kept in a few vectors of sample space, as answers on data have it",
    "diagonal": "diagonal second moments: correlations between modes do not feed the noise",
    "spectrally expressible": "fourth moments given by tau1 and tau2, and no cross term with label noise",
}
"""What each rung assumes that the one above it does not, from the top down."""
ORDER: tuple[Name, ...] = tuple(ASSUMES)


@runtime_checkable
class Network(Protocol):
    """A network that can be trained on the samples behind the data, such as `TwoLayerReLU`."""

    def train(self, data: LinearData, method: Method, steps: Int[Array, " t"], seed: int) -> Runs:
        """Runs with the data's learning rate, recorded at the steps."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Rung:
    """The mean loss by one description of the training.

    Attributes
    ----------
    name : str
        "network", "linearised", "exact", "measured", "diagonal" or "spectrally expressible".
    steps : integer array, shape (t,)
        Steps, ascending.
    loss : array, shape (t,)
        Mean loss; inf once it has overflowed.
    sem : array, shape (t,)
        Its standard error; 0 where nothing is drawn, inf for a single run.
    runs : Runs or None
        The runs behind the mean, where there are any.

    Examples
    --------
    >>> import numpy as np
    >>> Rung("exact", np.array([0, 1]), np.array([1.0, 0.5]), np.zeros(2)).assumes
    'fresh batches, nothing else; the runs may be too few for a mean carried by rare ones'
    """

    name: Name
    steps: Int[Array, " t"]
    loss: Float[Array, " t"]
    sem: Float[Array, " t"]
    runs: Runs | None = None

    @classmethod
    def from_runs(cls, name: Name, runs: Runs) -> Rung:
        """The mean of runs.

        Parameters
        ----------
        name : str
            Of the rung.
        runs : Runs
            At least one.

        Returns
        -------
        Rung
        """
        return cls(name, runs.steps, runs.mean, runs.sem, runs)

    @property
    def assumes(self) -> str:
        """What this rung assumes that the one above it does not."""
        return ASSUMES[self.name]

    def __repr__(self) -> str:
        error = f" +- {self.sem[-1]:.2g}" if self.sem[-1] > 0.0 else ""
        return f"Rung({self.name}: loss {self.loss[-1]:.6g}{error} at step {self.steps[-1]})"


def steadied(upper: Rung, lower: Rung) -> Rung:
    r"""The upper rung's mean with the lower one's runs as control variate, where those are more.

    .. math:: \bar L = \bar L_{\text{lower, all}} + \overline{L_{\text{upper}} - L_{\text{lower}}}

    The difference of runs that saw the same batches has little noise, so a few trained networks and many linearised
    runs give a mean as good as from many networks; it has no bias. What has overflowed is left as it was.

    Parameters
    ----------
    upper, lower : Rung
        With runs, at the same steps.
    """
    if upper.runs is None or lower.runs is None or lower.runs.replicas <= upper.runs.replicas:
        return upper
    first, second, sem = paired(upper, lower)
    with np.errstate(invalid="ignore"):
        loss, error = lower.loss + (first - second), np.hypot(sem, lower.sem)
    usable = np.isfinite(loss) & np.isfinite(error)
    return replace(upper, loss=np.where(usable, loss, upper.loss), sem=np.where(usable, error, upper.sem))


def paired(upper: Rung, lower: Rung) -> tuple[Array, Array, Array]:
    """Mean losses of two rungs to be compared, and the standard error of their difference.

    Runs of one seed saw the same batches: they are compared run by run, which removes most of the sampling noise.

    Parameters
    ----------
    upper, lower : Rung
        At the same steps.
    """
    if upper.runs is None or lower.runs is None or upper.runs.seed != lower.runs.seed:
        return upper.loss, lower.loss, np.hypot(upper.sem, lower.sem)
    count = min(upper.runs.replicas, lower.runs.replicas)
    first, second = upper.runs.loss[:count], lower.runs.loss[:count]
    with np.errstate(invalid="ignore"):
        difference = Runs(upper.steps, first - second, upper.runs.method, upper.runs.seed)
    return first.mean(axis=0), second.mean(axis=0), difference.sem
