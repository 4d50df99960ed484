"""A method with all that it remembers: a pull to 0, an undamped first step, an average of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun._typing import Array, Float
from genfun.methods.averaged import Averaged
from genfun.methods.base import Method
from genfun.methods.sgd import SGD
from genfun.methods.torch_sgd import Damped, Nesterov


@dataclass(frozen=True, eq=False)
class System:
    r"""One eigenmode as an affine recursion with a start and an output of its own.

    .. math:: x_{t+1} = (T_0 + a\,T_1)\,x_t - \alpha\,\varepsilon_t\,k,\qquad x_0 = (s_0 + a\,s_1)\,(w_0 - w^*),\qquad
              L = \tfrac12\lambda\,E\,x_o^2

    Weight decay from w_0 = 0 pulls to 0 with a force proportional to the initial error, -alpha rho w*; it is a state
    that stays at its start, w* = -(w_0 - w*). The undamped first step of torch is a start with a velocity,
    v_0 = -(a_c/beta) d/(1-d) with a_c = (1-d) a, and 1/(1-d)^2 times the noise in that step. An average is one state
    more.

    Attributes
    ----------
    inner : Method
        The fluctuations (w - w*, v): what decides stability.
    constant, slope : array, shape (m, m)
        T_0 and T_1.
    kick : array, shape (m,)
        k.
    start, start_slope : array, shape (m,)
        s_0 and s_1.
    output : int
        o, the state whose loss is asked for; 0 is w - w*.
    first_noise : float
        Factor of the variance of the noise in the first step.
    kept : tuple of float
        Eigenvalues of T that the further states add.
    decay : float
        rho, in units of an eigenvalue.
    """

    inner: Method
    constant: Float[Array, "m m"]
    slope: Float[Array, "m m"]
    kick: Float[Array, " m"]
    start: Float[Array, " m"]
    start_slope: Float[Array, " m"]
    output: int = 0
    first_noise: float = 1.0
    kept: tuple[float, ...] = ()
    decay: float = 0.0

    def bias(self, eigenvalues: Array) -> Float[Array, " n"]:
        """What is left of the initial error of each mode in the end, rho/(lambda + rho).

        Parameters
        ----------
        eigenvalues : array, shape (n,)
        """
        return self.decay / (eigenvalues + self.decay) if self.decay > 0.0 else np.zeros_like(eigenvalues)

    @property
    def size(self) -> int:
        """m."""
        return self.kick.size

    def rows(self, a: Array) -> Float[Array, "n m m"]:
        """T(a), one matrix for each a.

        Parameters
        ----------
        a : array, shape (n,)
            Learning rate times eigenvalue.
        """
        return self.constant + a[:, None, None] * self.slope


def system_of(method: Any) -> System:
    """The system of a method; of an average the one that it adds a state to.

    Parameters
    ----------
    method : Method or Averaged

    Raises
    ------
    ValueError
        If a step of the method is not linear in a, so that it uses the gradient more than once.

    Examples
    --------
    >>> system_of(Averaged(SGD(0.1, 0.9, weight_decay=0.01), "polyak")).size
    4
    """
    if isinstance(method, Averaged):
        system = system_of(method.method)
        return _summed(system) if method.is_uniform else _smoothed(system, method.decay)
    system = _plain(method)
    if not isinstance(method, SGD):
        return system
    inner: Method = system.inner
    if method.options or method.nesterov:
        form = Nesterov if method.nesterov else Damped
        inner = form(method.learning_rate, method.batch_size, method.replacement, method.hyperparameters)
    slope, noise = system.start_slope.copy(), 1.0
    if method.damping < 1.0:
        slope[1], noise = -method.dampening / method.momentum, method.damping**-2
    system = System(inner, system.constant, system.slope, system.kick, system.start, slope, 0, noise)
    return _pulled(system, method.weight_decay) if method.weight_decay > 0.0 else system


def _plain(method: Method) -> System:
    ends = [method.update(x, *method.hyperparameters) for x in (0.0, 1.0, 2.0)]
    at = [np.array(rows, dtype=np.float64) for rows, _ in ends]
    kicks = [np.array(kick, dtype=np.float64) for _, kick in ends]
    slope = at[1] - at[0]
    if not np.allclose(at[2] - at[1], slope, rtol=1e-9, atol=1e-12) or not np.allclose(kicks[0], kicks[2]):
        raise ValueError(f"method must use the gradient once in a step, got {type(method).__name__}")
    size = kicks[0].size
    return System(method, at[0], slope, kicks[0], np.eye(size)[0], np.zeros(size))


def _pulled(system: System, decay: float) -> System:
    """With the state c = w* that weight decay pulls from: T acts on w - w* + c in the place of w - w*."""
    # At a = 0 the gradient is that of the penalty alone, rho w, so that what T_0 does with w - w* it does with c too.
    pull = system.constant[:, 0] - np.eye(system.size)[0]
    constant = np.block([[system.constant, pull[:, None]], [np.zeros((1, system.size)), np.ones((1, 1))]])
    return System(
        system.inner,
        constant,
        np.pad(system.slope, (0, 1)),
        np.append(system.kick, 0.0),
        np.append(system.start, -1.0),
        np.append(system.start_slope, 0.0),
        0,
        system.first_noise,
        (1.0,),
        decay,
    )


def _with(system: System, old: float, new: float, start: float) -> System:
    """With the state m' = old m + new w'."""
    constant = np.block(
        [[system.constant, np.zeros((system.size, 1))], [new * system.constant[:1], np.full((1, 1), old)]]
    )
    slope = np.block([[system.slope, np.zeros((system.size, 1))], [new * system.slope[:1], np.zeros((1, 1))]])
    return System(
        system.inner,
        constant,
        slope,
        np.append(system.kick, new * system.kick[0]),
        np.append(system.start, start),
        np.append(system.start_slope, 0.0),
        system.size,
        system.first_noise,
        (*system.kept, old),
        system.decay,
    )


def _smoothed(system: System, decay: float) -> System:
    return _with(system, decay, 1.0 - decay, 1.0)


def _summed(system: System) -> System:
    return _with(system, 1.0, 1.0, 0.0)
