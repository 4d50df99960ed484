"""Shortcuts of maps: what is done for many settings at once is what is done for each."""

from __future__ import annotations

import numpy as np

from genfun.engine.conditioning import projections_of_three


def test_projections_of_many_maps_are_those_of_their_eigenvectors():
    rng = np.random.default_rng(0)
    maps = np.concatenate([rng.standard_normal((200, 3, 3)), rng.standard_normal((200, 3, 3)) ** 2 * 1e200])
    maps[:20] = np.triu(maps[:20])  # real eigenvalues all
    modulus, projection = projections_of_three(np.moveaxis(maps, 0, 2))
    values, right = np.linalg.eig(maps)
    top, each = np.argmax(np.abs(values), axis=1), np.arange(400)
    wanted = np.abs(right[each, :, top][:, :, None] * np.linalg.inv(right)[each, top][:, None, :])
    assert np.allclose(modulus, np.abs(values[each, top]), rtol=1e-12)
    # Eigenvalues as close as a thousandth: projections of hundreds, and eps times their square.
    assert np.allclose(projection, wanted, rtol=1e-9)


def test_where_eigenvectors_coalesce_there_is_no_projection():
    block = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    modulus, projection = projections_of_three(np.stack([block, np.zeros((3, 3)), np.full((3, 3), np.nan)], axis=2))
    assert modulus[0] == 1.0
    assert np.isnan(projection).any(axis=(1, 2)).all()
