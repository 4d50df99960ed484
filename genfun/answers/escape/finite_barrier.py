"""The next order of Kramers' formula: how much longer a run stays because a barrier is finite."""

from __future__ import annotations

from typing import NamedTuple

from genfun import _check


class Shape(NamedTuple):
    """Derivatives along the way out, at a minimum or at a saddle.

    Attributes
    ----------
    second, third, fourth : float
        f'', f''', f'''' along x.
    slope, bend : float
        l' and l'' of l(x) = ln det H_across(x), the curvatures of all other directions; 0 in one dimension.
    """

    second: float
    third: float = 0.0
    fourth: float = 0.0
    slope: float = 0.0
    bend: float = 0.0


def anharmonicity(minimum: Shape, saddle: Shape) -> float:
    r"""c of K = K_Kramers (1 + c T + O(T^2)), in units of 1/loss; `escape_time` takes it.

    .. math:: c = \sum_{g}\Big[\frac{5\,g'''^2}{24\,g''^3} - \frac{g''''}{8\,g''^2}
              + \frac{h''}{2\,g''} - \frac{h'\,g'''}{2\,g''^2}\Big],\qquad
              g = f,\ h = e^{-l/2}\ \text{at the minimum},\quad g = -f,\ h = e^{l/2}\ \text{at the saddle}

    The time of the diffusion along x is (1/T) int e^{f/T + l/2} int e^{-f/T - l/2}; each integral is expanded about its
    peak, with w = exp(-g/T) h and h = 1 there, and the products of the two first orders are added.

    **Assumptions.** A straight way out along x, whose other directions are quadratic about it and relax quickly.

    Parameters
    ----------
    minimum, saddle : Shape
        With f'' > 0 at the minimum and f'' < 0 at the saddle.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If one is no Shape, or of no numbers.
    ValueError
        If a second derivative has the wrong sign.

    References
    ----------
    Laplace's method to the next order; for one dimension Risken, The Fokker-Planck Equation (1989), section 5.10.

    Examples
    --------
    >>> anharmonicity(Shape(2.0, 6.0, 6.0), Shape(-1.0, 0.0, 6.0))  # (x^2 - 1)^2/4
    1.5
    """
    for name, at in (("minimum", minimum), ("saddle", saddle)):
        if not isinstance(at, Shape):
            raise TypeError(f"{name} must be a Shape, got {at!r}; give Shape(second, third, fourth)")
        _check.number(f"{name}.second", at.second)
    if minimum.second <= 0.0 or saddle.second >= 0.0:
        raise ValueError(
            f"minimum.second must be positive and saddle.second negative, got {minimum.second!r} and "
            f"{saddle.second!r}; they are f'' along the way out"
        )
    found = 0.0
    for name, at, sign in (("minimum", minimum, 1.0), ("saddle", saddle, -1.0)):
        second, third, fourth, slope, bend = (_check.number(f"{name}.{field}", x) for field, x in at._asdict().items())
        g2, g3, g4 = sign * second, sign * third, sign * fourth
        h1, h2 = -0.5 * sign * slope, 0.25 * slope**2 - 0.5 * sign * bend
        found += 5.0 * g3**2 / (24.0 * g2**3) - g4 / (8.0 * g2**2) + h2 / (2.0 * g2) - h1 * g3 / (2.0 * g2**2)
    return found
