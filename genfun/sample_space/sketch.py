"""Random mixtures of the responses of all pairs at many settings, by which few pairs are chosen that stand for all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from genfun._typing import Array, Float
from genfun.sample_space.fast_pairs import denominator_coefficients
from genfun.sample_space.projection import PairMeasure

Places = tuple[Array, Array, Array, Array]
"""q = 1 - z, momentum, gamma and learning rate."""

LATE_WEIGHT = 10.0
"""How much settings of late losses count."""
CELLS = 16_384
"""Settings times pairs worked on together, so that all working arrays stay in the cache."""


def sketched(pairs: PairMeasure, settings: Places, sketch: int, late: Places | None = None) -> Float[Array, "rows P"]:
    """Random mixtures of the responses at all settings: as many of u as of v.

    Sums of few rows with random signs, which settings at random make as good as random mixtures of all. A row is one
    setting, weighted as in the sums and relative to the sum of its absolute terms.

    Parameters
    ----------
    pairs : PairMeasure
    settings : (array, array, array, array)
        Real and imaginary part of a response are two rows.
    sketch : int
        Mixtures of u, and of v.
    late : (array, array, array, array) or None
        Settings on the real axis at which late losses are looked at, too.
    """
    rng, mixed = np.random.default_rng(settings[0].size), np.zeros((2, sketch, pairs.first.size))
    rows = settings[0].size + int(np.count_nonzero(np.imag(settings[0])))
    bent = np.zeros((0, pairs.first.size)) if late is None else _bent(pairs, late)
    signs = [(rng.choice([-1.0, 1.0], rows), rng.choice([-1.0, 1.0], bent.shape[0])) for _ in mixed]
    for which, places, work in _responses(pairs, settings):
        _mix(mixed[which], places, work, signs[which][0], pairs.sizes[which])
    for table, (_, late_signs), size in zip(mixed, signs, pairs.sizes, strict=True):
        _mix(table, np.arange(bent.shape[0]), np.stack([bent, bent]), LATE_WEIGHT * late_signs, size)
        table *= size
    return np.concatenate(mixed)


def _mix(mixed: Array, places: Array, work: Array, factors: Array, size: Array) -> None:
    """Add rows, by their places among all, to the mixtures that they are part of: the first of two arrays."""
    rows, spare = work
    factors = factors[places] / np.maximum(np.abs(rows, out=spare) @ size, 1e-300)
    for place, row in zip(places.tolist(), np.multiply(factors[:, None], rows, out=rows), strict=True):
        mixed[place % mixed.shape[0]] += row


def _bent(pairs: PairMeasure, settings: Places) -> Array:
    r"""1/S^3 of all pairs at every setting, which bends as the second derivative of their responses does.

    Late losses are in what the generating function bends near its singular point: a small part of it, to which fast
    pairs add a constant. Here they have no more weight than they have there.
    """
    return np.reciprocal(denominator_coefficients(*settings).T @ pairs.features.T) ** 3


def _responses(pairs: PairMeasure, settings: Places) -> Iterator[tuple[int, Array, Array]]:
    """u (0) and v (1) of all pairs up to a factor, few settings at a time, with the places of these among all rows.

    Real parts come first, then the imaginary parts of the settings that have some. In real numbers, and in the same few
    arrays, which stay in the cache: new ones for everything took three times as long. The values are the first of two.
    """
    q, beta, gamma, rate = settings
    z, table = 1.0 - q, denominator_coefficients(*settings).T
    forgets = 1.0 - beta * z
    kick = gamma * rate**2 * (1.0 - (beta * z) ** 2)
    tops = np.stack([kick, forgets * forgets * (1.0 - beta**2 * z), forgets * beta * z * rate])[..., None]
    # With 1/S = r - i m the real part of top/S is Re top r + Im top m, the imaginary part Im top r - Re top m.
    factors = ((np.real(tops), np.imag(tops)), (np.imag(tops), -np.real(tops)))
    tables, features = (np.real(table).copy(), np.imag(table).copy()), np.ascontiguousarray(pairs.features.T)
    turned, together = np.imag(q) != 0.0, max(1, CELLS // pairs.first.size)
    arrays = np.empty((6, min(together, q.size), pairs.first.size))
    for count, whole in ((1, np.flatnonzero(~turned)), (2, np.flatnonzero(turned))):
        for start in range(0, whole.size, together):
            at = whole[start : start + together]
            work = arrays[:, : at.size]
            parts = _inverses([part[at] for part in tables[:count]], features, work)
            slower = [np.multiply(part, features[1], out=into) for part, into in zip(parts, work[2:], strict=False)]
            behind = q.size + start + np.arange(at.size)
            for places, by in list(zip((at, behind), factors, strict=True))[:count]:
                kicks, plain, scaled = zip(*(factor[:, at] for factor in by[:count]), strict=True)
                yield 0, places, _summed([*zip(kicks, parts, strict=True)], work[4:])
                yield 1, places, _summed([*zip(plain + scaled, parts + slower, strict=True)], work[4:])


def _inverses(tables: list[Array], features: Array, work: Array) -> list[Array]:
    """1/S: its real part, and minus its imaginary part if S has one."""
    parts = [np.matmul(table, features, out=into) for table, into in zip(tables, work, strict=False)]
    if len(parts) == 1:
        return [np.reciprocal(parts[0], out=parts[0])]
    size = np.multiply(parts[0], parts[0], out=work[2])
    size += np.multiply(parts[1], parts[1], out=work[3])
    for part in parts:
        part /= size
    return parts


def _summed(terms: list[tuple[Array, Array]], work: Array) -> Array:
    """The sum of products in the first of two arrays, both of which it takes."""
    total, term = work
    np.multiply(*terms[0], out=total)
    for factor, part in terms[1:]:
        total += np.multiply(factor, part, out=term)
    return work
