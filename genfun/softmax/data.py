"""Features and class labels, for a linear classifier trained under cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import Tabled
from genfun._typing import Array, Float, Int
from genfun.data import _arrays
from genfun.data.linear import LinearData
from genfun.softmax.pairs import pairs_of

MOST_WEIGHTS, LEAST_APART = 600, 5
"""Of d (C - 1) weights, whose full covariance is followed; of more, groups of eigenfeatures, each with all classes or,
of so many classes, each class apart."""
WORK, PAIRED = 2.5e7, 1.5e8
"""Blocks times the cube of their size, which some ten seconds a prediction go with; and products of pairs of features,
over all samples, that are kept."""
MOST_WORK, MOST_CURVATURE = 2e9, 5e7
"""What is refused: of classes that are followed together N min(N, d) (C - 1)^2; of more N C^2, some 400 MB, and
minutes."""
SEARCH_WORK, SEARCH_CURVATURE, WHOLE_SEARCHED = 3e8, 1e7, 100
"""The same in a search of some seventy predictions, and the weights up to which it follows their covariance whole; of
more it follows each alone: larger blocks found the same settings of digits' pixels, in up to twice the time."""
RANK = 1e-10
"""Of the largest singular value, what counts as none."""


@_check.built_by("SoftmaxData.from_features(X, labels)")
@dataclass(frozen=True, eq=False, repr=False)
class SoftmaxData(Tabled):
    r"""Softmax regression on given data: a linear probe, started at w_0 = 0 or at given weights.

    .. math:: L(w) = -\frac1N\sum_{ic} y_{ic}\log p_c(x_i),\qquad p_c(x) = \frac{e^{w_c^Tx}}{\sum_{c'}e^{w_{c'}^Tx}},
              \qquad y_{ic} = (1-\epsilon)\,[c = y_i] + \frac{\epsilon}{C}

    Accepted by `predict`, `predict_test`, `max_learning_rate`, `steps_to_loss`, `optimize`, `explain` and
    `experiments.simulate`; every other answer is derived for squared loss.

    **Assumptions.** Cross-entropy in nats, a mean over samples, as of `torch.nn.CrossEntropyLoss`; features as they
    are, with no intercept added. The loss is that of the data alone: weight decay belongs to the method, and its
    penalty is not counted. Built by `from_features`.

    Parameters
    ----------
    features : array, shape (N, d)
        x.
    labels : integer array, shape (N,)
        Positions in `classes`.
    classes : tuple
        The labels as given, in order.
    initial : array, shape (d, C), or None
        Weights at the start; None is 0.
    label_smoothing : float
        epsilon in [0, 1), as of `torch.nn.CrossEntropyLoss`; every loss is that of the smoothed labels.
    whole : int
        Weights d (C - 1) up to which their covariance is followed whole. Of more, in blocks of some eigenfeatures, of
        five classes or more each class apart, and the mean by Lanczos: much quicker, and less exact, of which the error
        estimates tell.
    work : float
        Most blocks times the cube of their size: four times as much doubles the features of a block, 0 follows each
        alone.
    names : tuple or None
        Of the columns, where the features came in a frame that has them: held-out ones must have the same order.

    Examples
    --------
    >>> import genfun as gf
    >>> gf.SoftmaxData.from_features([[1.0], [2.0], [-1.0]], ["cat", "cat", "dog"])
    SoftmaxData(n_samples=3, features=1, classes=2)
    """

    features: Float[Array, "N d"]
    labels: Int[Array, " N"]
    classes: tuple[Any, ...]
    initial: Float[Array, "d C"] | None = None
    label_smoothing: float = 0.0
    whole: int = MOST_WEIGHTS
    work: float = WORK
    names: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        self.features.setflags(write=False)
        self.labels.setflags(write=False)

    @classmethod
    def from_features(cls, X: Any, labels: Any, initial: Any = None, label_smoothing: float = 0.0) -> SoftmaxData:
        """From features and one label for each sample.

        Parameters
        ----------
        X : array-like, shape (N, d)
            Features as the probe sees them; append a column of ones for a bias.
        labels : array-like, shape (N,)
            Integers or strings.
        initial : array-like, shape (d, C), or None
            Weights at the start, a column for each class in order: of a torch layer the transposed weight. None is 0.
        label_smoothing : float
            epsilon in [0, 1): the share of each label that is spread over all classes evenly.

        Returns
        -------
        SoftmaxData

        Raises
        ------
        ValueError
            On wrong shapes, non-finite values, fewer than two classes, a label smoothing that is not in [0, 1), or
            what would take hours: beyond 600 weights d (C - 1), N C^2 above 5e7, or with fewer than five classes
            N min(N, d) (C - 1)^2 above 2e9.
        TypeError
            On what is not an array of real numbers.

        Examples
        --------
        >>> SoftmaxData.from_features([[1.0, 0.0], [0.0, 1.0]], [3, 7]).classes
        (3, 7)
        """
        smoothing = _check.nonnegative("label_smoothing", label_smoothing, "0 is none")
        if smoothing >= 1.0:
            raise ValueError(f"label_smoothing must be below 1, got {smoothing!r}; at 1 the labels say nothing")
        table = _arrays.table("X", X)
        n, d = (int(side) for side in table.shape)
        given = np.asarray(labels)
        if given.shape != (n,):
            raise ValueError(
                f"labels must be one for each of the {n} samples, shape ({n},), got shape {given.shape}; "
                "of one-hot rows pass .argmax(axis=1)"
            )
        if given.dtype.kind == "f" and not (given == np.floor(given)).all():
            raise ValueError("labels must be classes, got fractions or nan; pass integers or strings")
        try:
            classes, positions = np.unique(given, return_inverse=True)
        except TypeError:
            kinds = sorted({type(label).__name__ for label in given.tolist()})
            raise TypeError(
                f"labels must all be integers or all strings, got {' and '.join(kinds)}; leave out samples without one"
            ) from None
        if classes.size < 2:
            raise ValueError(f"labels must hold at least two classes, got {classes.tolist()}")
        check_work(n, d, classes.size, MOST_WORK, MOST_CURVATURE)
        values = np.array(_arrays.block("X", table, slice(0, n)), dtype=np.float64)
        if not values.any():
            raise ValueError("X is all zero: there is nothing to learn from; check how the features were read")
        start = None
        if initial is not None:
            start = np.array(_arrays.table("initial", initial), dtype=np.float64)
            if start.shape != (d, classes.size) or not np.isfinite(start).all():
                raise ValueError(
                    f"initial must be finite, of shape ({d}, {classes.size}), features by classes, got {start.shape}; "
                    "a weight of torch.nn.Linear is transposed"
                )
        return cls(
            values,
            positions.ravel().astype(np.int64),
            tuple(classes.tolist()),
            start,
            smoothing,
            names=_arrays.names_of(X),
        )

    def check_search(self) -> None:
        """Refuse what a search, of many predictions, would take hours for."""
        check_work(self.n_samples, self.features.shape[1], len(self.classes), SEARCH_WORK, SEARCH_CURVATURE)

    def held_out(self, X: Any, labels: Any) -> SoftmaxData:
        """Other samples of the same features and classes, for the loss on them, with the same label smoothing.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Centred and scaled as the training features were.
        labels : array-like, shape (n,)
            Among `classes`.

        Raises
        ------
        ValueError
            On a wrong shape, columns in another order, or a label that is not among the classes.
        """
        _arrays.check_names("X_test", X, self.names)
        table = _arrays.table("X_test", X)
        n, d = (int(side) for side in table.shape)
        if d != self.features.shape[1]:
            raise ValueError(f"X_test must have the {self.features.shape[1]} features of the data, got {d}")
        given = np.asarray(labels)
        if given.shape != (n,):
            raise ValueError(f"y_test must be one label for each of the {n} samples, got shape {given.shape}")
        known = set(self.classes)
        unknown = [label for label in given.tolist() if label not in known]
        if unknown:
            raise ValueError(f"y_test must hold classes of the training data, got {unknown[0]!r} besides")
        positions = np.searchsorted(np.array(self.classes), given)
        values = np.array(_arrays.block("X_test", table, slice(0, n)), dtype=np.float64)
        return replace(self, features=values, labels=positions.astype(np.int64), initial=None)

    def __repr__(self) -> str:
        return (
            f"SoftmaxData(n_samples={self.n_samples}, features={self.features.shape[1]}, classes={len(self.classes)})"
        )

    @property
    def n_samples(self) -> int:
        """N."""
        return self.features.shape[0]

    @property
    def n_weights(self) -> int:
        """d (C - 1): weights, less those that no gradient ever moves."""
        return self.features.shape[1] * (len(self.classes) - 1)

    def apart(self, covariance: Float[Array, "G s s"]) -> bool:
        """Whether this is a covariance in class coordinates, in which classes are followed apart.

        Parameters
        ----------
        covariance : array, shape (blocks, size, size)
        """
        return covariance.shape[0] * covariance.shape[1] > self.n_weights

    @property
    def side(self) -> int:
        """Features in a block: the most, in powers of two, that `work` and memory allow."""
        (n, d), count = self.features.shape, len(self.classes)
        d, beside, k = min(n, d), *((count, 1) if count >= LEAST_APART else (1, count - 1))
        side = 1
        while side < d and 4 * d * beside * side**2 * k**3 <= self.work and n * d * side <= PAIRED:
            side *= 2
        return side

    @property
    def blocks(self) -> tuple[int, int]:
        """How the covariance of the weights is followed: whole, or in so many blocks of this size."""
        if self.n_weights <= self.whole:
            return 1, self.n_weights
        d, count, side = self.features.shape[1], len(self.classes), self.side
        while d % side:
            side //= 2
        return (d // side * count, side) if count >= LEAST_APART else (d // side, side * (count - 1))

    def inside(self, other: SoftmaxData) -> tuple[SoftmaxData, SoftmaxData]:
        """These samples and others in the eigenfeatures of these, where there are too many for a whole covariance.

        Parameters
        ----------
        other : SoftmaxData
        """
        if self.blocks[0] == 1:
            return self, other
        mine, turn = self._eigenfeatures
        return mine, mine if other is self else replace(other, features=other.features @ turn)

    @cached_property
    def _eigenfeatures(self) -> tuple[SoftmaxData, Float[Array, "d r"]]:
        left, size, turn = np.linalg.svd(self.features, full_matrices=False)
        kept = size > RANK * size[0]
        turn, inside, initial = turn[kept].T, left[:, kept] * size[kept], None
        if self.initial is not None:
            # What it has outside the span of the samples stays, and counts on other samples.
            outside = self.initial - turn @ (turn.T @ self.initial)
            extra, amount, _ = np.linalg.svd(outside, full_matrices=False)
            extra = extra[:, amount > RANK * np.linalg.norm(self.initial)]
            turn = np.hstack((turn, extra))
            inside = np.hstack((inside, np.zeros((len(inside), extra.shape[1]))))
            initial = turn.T @ self.initial
        more = -turn.shape[1] % self.side if turn.shape[1] * (len(self.classes) - 1) > self.whole else 0
        inside, turn = (np.pad(x, ((0, 0), (0, more))) for x in (inside, turn))  # the last block is filled by zeros
        initial = None if initial is None else np.pad(initial, ((0, more), (0, 0)))
        return replace(self, features=inside, initial=initial), turn

    @cached_property
    def basis(self) -> Float[Array, "C k"]:
        """Orthonormal columns that sum to 0 over classes: what gradients from w_0 = 0 reach."""
        count = len(self.classes)
        return np.linalg.qr(np.eye(count) - 1.0 / count)[0][:, : count - 1]

    @cached_property
    def targets(self) -> Float[Array, "N C"]:
        """y: the smoothed labels."""
        count = len(self.classes)
        return (1.0 - self.label_smoothing) * np.eye(count)[self.labels] + self.label_smoothing / count

    def logits(self, mean: Float[Array, " m"]) -> Float[Array, "N C"]:
        """Logits of each sample under weights in the zero-sum basis.

        Parameters
        ----------
        mean : array, shape (m,)
        """
        return self.features @ (mean.reshape(self.features.shape[1], -1) @ self.basis.T)

    def pairs(self, side: int) -> Float[Array, "N p"]:
        """Products of two features of each group of so many, kept.

        Parameters
        ----------
        side : int
        """
        if side not in self._pairs:
            self._pairs[side] = pairs_of(self.features, side)
        return self._pairs[side]

    @cached_property
    def _pairs(self) -> dict[int, Float[Array, "N p"]]:
        return {}

    @cached_property
    def squared(self) -> LinearData:
        """Least squares on the same features and one-hot targets; its edge gives the start edge."""
        return LinearData.from_features(self.features, np.eye(len(self.classes))[self.labels])


def most_features(n: int, classes: int, work: float) -> int:
    """So many features that the products of a linearisation are no more than `work`.

    Parameters
    ----------
    n : int
        Samples.
    classes : int
    work : float
    """
    return max(int(work / n / (classes - 1) ** 2), WHOLE_SEARCHED // (classes - 1))


def check_work(n: int, d: int, classes: int, work: float, curvature: float) -> None:
    """Refuse what would take hours.

    Parameters
    ----------
    n, d, classes : int
    work : float
        The most N min(N, d) (C - 1)^2 of few classes.
    curvature : float
        The most N C^2 of more.
    """
    if d * (classes - 1) <= MOST_WEIGHTS:
        return
    what = f"X has {n} samples of {d} features in {classes} classes, which would take hours"
    if classes >= LEAST_APART and n * classes**2 > curvature:
        raise ValueError(
            f"{what}; take no more than {int(curvature / classes**2)} samples, as many of each class, or fewer classes"
        )
    if classes < LEAST_APART and n * min(n, d) * (classes - 1) ** 2 > work:
        most = most_features(n, classes, work)
        remedy = f"project the features on their {most} leading principal components, or take" if most else "take"
        raise ValueError(f"{what}; {remedy} fewer samples of each class")
