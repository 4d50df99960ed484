"""Real data as a linear problem: features or a kernel matrix, turned into spectrum, signal and noise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from genfun import _check
from genfun._display import Displayed, several
from genfun._typing import Array, Float, Progress, Shaped
from genfun.data import _arrays
from genfun.data.eigenbasis import Eigenbasis, from_kernel_matrix, from_tall, from_wide
from genfun.data.noise_fit import NoiseFit, fit_noise
from genfun.data.store import Blocks, Deferred, FeatureStore, InMemory, Streamed
from genfun.noise import SpectrallyExpressible
from genfun.problems.problem import LinearProblem, check_scales
from genfun.sample_space.exact_noise import ExactNoise
from genfun.sample_space.measured import MeasuredNoise, measure_noise


@_check.built_by("LinearData.from_features(X, y)")
@dataclass(frozen=True, eq=False, repr=False)
class LinearData(Displayed):
    r"""Least squares on given data, in the eigenbasis of its Hessian, started at w_0 = 0.

    .. math:: H = \frac1N\sum_i \psi_i\psi_i^T = \sum_k \lambda_k e_k e_k^T,\quad
              \varphi_k(i) = \langle\psi_i, e_k\rangle,\quad s_k = \lambda_k |\langle w^*, e_k\rangle|^2,\quad
              \sigma^2 = \frac1N\sum_i |y_i - w^{*T}\psi_i|^2

    **Assumptions.** Squared loss, a sum over outputs; w_0 = 0; X and y are taken as they are (centre and scale them
    first if you mean to). Built by `from_features`, `from_kernel`, `from_torch` or a function of `genfun.data`.

    Parameters
    ----------
    eigenvalues : array, shape (rank,)
        lambda_k > 0, descending, in units of the square of a feature.
    coefficients : array, shape (rank, outputs)
        The optimum w* in the eigenbasis.
    noise_variance : float
        sigma^2, residual variance at the optimum, summed over outputs.
    n_samples : int
        N.
    n_dropped : int
        Directions among the min(n, d) possible ones left out because their eigenvalue is at rounding (rank
        deficiency). What y has there is part of noise_variance.
    solver : str
        How the spectrum was found: "qr", "gram", "kernel" or "exact" (prescribed).
    notes : tuple of str
        What a reader of the results should know: dropped directions, single-precision input.
    store : FeatureStore
        Where eigenfeatures and targets come from.
    names : tuple or None
        Of the columns, where the features came in a frame that has them: held-out ones must have the same order.

    Examples
    --------
    >>> X = [[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]]
    >>> d = LinearData.from_features(X, [1.0, -1.0, 2.0, -2.5])
    >>> d.problem
    LinearProblem(2 modes, lambda 0.5..2, initial loss 1.53125, n_samples=4, noise_variance=0.03125)
    """

    eigenvalues: Float[Array, " rank"]
    coefficients: Float[Array, "rank outputs"]
    noise_variance: float
    n_samples: int
    n_dropped: int
    solver: str
    notes: tuple[str, ...]
    store: FeatureStore = field(repr=False)
    names: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        self.eigenvalues.setflags(write=False)
        self.coefficients.setflags(write=False)
        if self.eigenvalues.size:
            check_scales(float(self.eigenvalues[0]), self.signal, self.noise_variance, of="the data")

    @classmethod
    def from_features(cls, X: Any, y: Any, progress: Progress | None = None, memory_limit: int = 1 << 30) -> LinearData:
        r"""From features and targets, read in blocks along the longer axis.

        .. math:: X = U\Sigma V^T,\quad \lambda_k = \Sigma_k^2/N,\quad s_k = |u_k^T y|^2/N

        **Assumptions.** A square triangular factor of side min(n, d) (+ outputs) fits in memory; nothing else has to.
        A direction counts as absent if its singular value is below max(n, d) * 2.2e-16 times the largest.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Array, memmap, dask array, HDF5 dataset, sparse matrix, or anything with shape and slices.
        y : array-like, shape (n,) or (n, outputs)
            Targets.
        progress : callable or None
            Called with (fraction done, stage) after each block.
        memory_limit : int
            Bytes that the n x rank eigenfeatures may take. Beyond it X and y are not copied but read again when
            needed, so leave them open and unchanged. Within it the eigenfeatures of a NumPy array are made when first
            needed, and X of more than 64 MiB must not change until then; that it did is found out and refused.

        Returns
        -------
        LinearData
            The data in its eigenbasis.

        Raises
        ------
        ValueError
            On wrong shapes, non-finite values, or features that are all zero.
        TypeError
            On what is not an array of real numbers.

        Examples
        --------
        >>> LinearData.from_features([[1.0], [2.0]], [1.0, 2.0])
        LinearData(n_samples=2, rank=1, outputs=1, noise_variance=0, n_dropped=0, solver='qr')
        """
        limit = _check.integer("memory_limit", memory_limit, 0)
        features = _arrays.table("X", X)
        n, d = (int(side) for side in features.shape)
        targets = _arrays.targets("y", y, n)
        basis = from_tall(features, targets, progress) if n >= d else from_wide(features, targets, progress)
        if basis.eigenvalues.size == 0:
            raise ValueError("X is all zero: there is nothing to learn from; check how the features were read")
        if basis.eigenfeatures is not None:
            store: FeatureStore = InMemory(basis.eigenfeatures, _arrays.block("y", targets, slice(0, n)))
        else:
            assert basis.directions is not None
            store = Streamed(features, targets, basis.directions, limit)
            if 8 * n * basis.eigenvalues.size <= limit:
                # What is in memory stays readable; a file may be closed by the time the eigenfeatures are needed.
                y, turn = _arrays.block("y", targets, slice(0, n)), basis.directions
                store = (
                    Deferred.of(features, y, turn, basis.eigenvalues, basis.coefficients)
                    if type(features) is np.ndarray
                    else InMemory(*store.arrays(), turn)
                )
        eps = _arrays.rounding(features)
        return replace(cls._from_basis(basis, n, store, _notes("X", basis, eps, eps**2)), names=_arrays.names_of(X))

    @classmethod
    def from_kernel(cls, K: Any, y: Any, progress: Progress | None = None) -> LinearData:
        r"""From a kernel matrix: the model that starts at f = 0 and moves in function space.

        .. math:: \lambda_k = \operatorname{eig}_k(K)/N,\quad s_k = |u_k^T y|^2/N,\quad
                  \varphi_k(i) = \sqrt{N\lambda_k}\,u_k(i)

        **Assumptions.** K_ij = <psi_i, psi_j>, symmetric and positive semi-definite up to the rounding of its type;
        eigenvalues within that rounding are dropped.

        Parameters
        ----------
        K : array-like, shape (n, n)
            Kernel matrix of the samples.
        y : array-like, shape (n,) or (n, outputs)
            Targets (minus the initial function, if that is not zero).
        progress : callable or None
            Called with (fraction done, stage).

        Returns
        -------
        LinearData
            The data in its eigenbasis.

        Raises
        ------
        ValueError
            If K is not square, not symmetric, has a negative eigenvalue beyond rounding, or holds non-finite values.
        TypeError
            On what is not an array of real numbers.

        Examples
        --------
        >>> LinearData.from_kernel([[2.0, 0.0], [0.0, 1.0]], [1.0, 1.0]).eigenvalues
        array([1. , 0.5])
        """
        kernel = _arrays.table("K", K)
        n = int(kernel.shape[0])
        if kernel.shape[1] != n:
            raise ValueError(
                f"K must be square, got shape {tuple(kernel.shape)}; use from_features for an (n, d) array"
            )
        targets = _arrays.targets("y", y, n)
        eps = _arrays.rounding(kernel)
        basis = from_kernel_matrix(kernel, targets, eps, progress)
        assert basis.eigenfeatures is not None
        store = InMemory(basis.eigenfeatures, _arrays.block("y", targets, slice(0, n)))
        return cls._from_basis(basis, n, store, _notes("K", basis, eps, np.sqrt(n) * eps))

    @classmethod
    def from_torch(
        cls,
        model: Any,
        inputs: Any,
        targets: Any = None,
        kind: str = "ntk",
        chunk: int = 64,
        memory_limit: int = 1 << 30,
        device: str | None = None,
    ) -> LinearData:
        r"""From a torch model: its linearisation at the present parameters theta_0, on the given samples.

        .. math:: f(x) \approx f_0(x) + \langle\nabla_\theta f_0(x), \theta-\theta_0\rangle,\qquad
                  K_{ij} = \langle\nabla_\theta f_0(x_i), \nabla_\theta f_0(x_j)\rangle,\qquad
                  y_i \to y_i - f_0(x_i)

        **Learning rate.** That of plain SGD in torch on the loss sum |f - y|^2 / (2 b) of a batch of b. For
        `torch.nn.MSELoss` with o outputs, which has no 1/2 and averages over outputs, it is 2/o times torch's.

        **Assumptions.** Squared loss and SGD on the parameters that require gradients. The linearisation holds while
        theta stays near theta_0 (wide networks, or late fine-tuning); "last_layer" is exact for training the last
        layer alone. The model is used in eval mode: no dropout, batch normalisation with its running statistics.
        Several outputs: "last_layer" is exact. Of "ntk" the kernel is (n outputs) x (n outputs), and a batch draws
        samples, not rows of it; it is accepted only as K x identity, one kernel for all outputs. "ntk_shared" takes
        the mean K of the outputs' own kernels and says in the notes how much of the whole it leaves out (of order
        width^(-1/2) for wide networks).

        **Size.** "ntk" makes the n x n kernel, n^2 x outputs x parameters multiplications, and refuses more than 1e15
        of them on a CPU (1e18 elsewhere). Large models, and outputs that the kernel couples, go by products with it:
        `LinearProblem.from_operator(K, targets - K.start, n)` with `K = data.torch_operator(model, inputs)`.

        Parameters
        ----------
        model : torch.nn.Module
            Maps inputs (batch, ...) to outputs (batch,) or (batch, outputs). It is not changed.
        inputs : tensor or array, Dataset, or DataLoader
            Samples; a Dataset or DataLoader yields pairs (inputs, targets).
        targets : tensor or array, shape (n,) or (n, outputs), or None
            y, of the shape of the model's outputs; None if inputs has them.
        kind : "ntk", "ntk_shared" or "last_layer"
            All trained parameters (one kernel exactly, or on the average over outputs), or those of the last
            `torch.nn.Linear`, whose inputs (and 1 for its bias) become the features.
        chunk : int
            Samples differentiated at once, fewer if memory_limit says so.
        memory_limit : int
            Bytes for the derivatives kept (n x outputs x parameters x 8 in all), down to those of one sample; with less
            than all of them, they are computed again for each block kept. Working copies take as much again.
        device : str or None
            Where to compute; None means where the model is.

        Returns
        -------
        LinearData
            The linearised problem, in the model's own units; `.normalized()` scales lambda_max to 1.

        Raises
        ------
        ValueError
            If shapes do not match, several outputs do not share a kernel, the kernel would take hours, or the model
            does not end in a Linear.
        TypeError
            If model is not a torch module.
        ImportError
            Without torch.

        References
        ----------
        Jacot, Gabriel, Hongler, arXiv 1806.07572 (tangent kernel).

        Examples
        --------
        >>> import torch
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> x = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
        >>> LinearData.from_torch(model, x, torch.zeros(2, 1)).eigenvalues
        array([2. , 0.5])
        """
        from genfun.data.torch_model import read_model

        form, values, rest, notes = read_model(model, inputs, targets, kind, chunk, memory_limit, device)
        data = cls.from_kernel(values, rest) if form == "kernel" else cls.from_features(values, rest)
        return replace(data, notes=(*notes, *data.notes))

    @classmethod
    def _from_basis(cls, basis: Eigenbasis, n: int, store: FeatureStore, notes: tuple[str, ...]) -> LinearData:
        return cls(
            eigenvalues=basis.eigenvalues,
            coefficients=basis.coefficients,
            noise_variance=basis.noise_variance,
            n_samples=n,
            n_dropped=basis.n_dropped,
            solver=basis.solver,
            notes=notes,
            store=store,
        )

    def __repr__(self) -> str:
        return (
            f"LinearData(n_samples={self.n_samples}, rank={self.rank}, outputs={self.n_outputs}, "
            f"noise_variance={self.noise_variance:.4g}, n_dropped={self.n_dropped}, solver={self.solver!r})"
        )

    @property
    def rank(self) -> int:
        """Number of modes kept."""
        return self.eigenvalues.size

    @property
    def n_outputs(self) -> int:
        """Number of targets of a sample."""
        return self.coefficients.shape[1]

    @cached_property
    def signal(self) -> Float[Array, " rank"]:
        """s_k, summed over outputs, aligned with the eigenvalues."""
        with np.errstate(over="ignore", invalid="ignore"):  # what doubles do not hold is refused by its scale
            return self.eigenvalues * np.sum(self.coefficients**2, axis=1)

    @cached_property
    def problem(self) -> LinearProblem:
        """Spectrum, signal, N and sigma^2, ready for every question."""
        return LinearProblem(self.eigenvalues, self.signal, self.n_samples, self.noise_variance)

    @cached_property
    def noise_fit(self) -> NoiseFit:
        """tau1 and tau2 fitted to the fourth moments, with the errors of that approximation."""
        return fit_noise(self.blocks, self.eigenvalues, self.coefficients, self.noise_variance)

    @property
    def noise(self) -> SpectrallyExpressible:
        """The estimated spectrally expressible noise."""
        return self.noise_fit.noise

    @cached_property
    def measured_noise(self) -> MeasuredNoise:
        """The data's own batch noise in a few vectors of sample space, found on first use: what answers assume."""
        return measure_noise(self)

    @cached_property
    def exact_noise(self) -> ExactNoise:
        """The data's own batch noise with nothing left out."""
        return ExactNoise(self)

    def blocks(self) -> Blocks:
        """Pairs (eigenfeatures, targets) over consecutive blocks of samples, bounded in memory."""
        return self.store.blocks()

    @cached_property
    def _arrays(self) -> tuple[Array, Array]:
        return self.store.arrays()

    @property
    def eigenfeatures(self) -> Float[Array, "n rank"]:
        """phi, with mean_i phi_j(i) phi_k(i) = lambda_k delta_jk; MemoryError if it exceeds the memory limit."""
        return self._arrays[0]

    @property
    def targets(self) -> Float[Array, "n outputs"]:
        """Targets y."""
        return self._arrays[1]

    @cached_property
    def residuals(self) -> Float[Array, "n outputs"]:
        """y minus the predictions at the optimum; 0 where targets are fitted exactly: rounding would be a floor."""
        if self.noise_variance == 0.0:
            return np.zeros((self.n_samples, self.coefficients.shape[1]))
        return np.vstack([y - phi @ self.coefficients for phi, y in self.blocks()])

    def seen(self, weights: Shaped[Array, "rank m"]) -> Shaped[Array, "n m"]:
        """Predictions of weights in the eigenbasis, for every sample.

        Parameters
        ----------
        weights : array, shape (rank, m)
        """
        return np.vstack([phi @ weights for phi, _ in self.blocks()])

    def normalized(self) -> LinearData:
        """The same data with features scaled so that the largest eigenvalue is 1; the signal does not change."""
        scale = float(np.sqrt(self.eigenvalues[0]))
        return replace(
            self,
            eigenvalues=self.eigenvalues / self.eigenvalues[0],
            coefficients=self.coefficients * scale,
            store=self.store.scaled(1.0 / scale),
        )


def _notes(name: str, basis: Eigenbasis, eps: float, relative_floor: float) -> tuple[str, ...]:
    notes = []
    if basis.n_dropped:
        whose = "features, in which columns follow from others" if name == "X" else "kernel"
        many = several(basis.n_dropped, "directions")
        notes.append(
            f"rank-deficient {whose}: {many} with an eigenvalue at rounding left out; what the target has there counts "
            "as label noise"
        )
    if eps > np.finfo(np.float64).eps and basis.eigenvalues.size:
        floor = relative_floor * basis.eigenvalues[0]
        below = int(np.count_nonzero(basis.eigenvalues < floor))
        notes.append(
            f"{name} was stored with relative rounding {eps:.2g}: eigenvalues below about {floor:.2g} "
            f"({below} of {basis.eigenvalues.size} kept) are that rounding, not the data"
        )
    return tuple(notes)
