"""Families of steps against batch size, and the critical batch size with its interval."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from genfun.answers.batch._step_families import FAMILIES, fit_family
from genfun.answers.batch.fit_steps import fit_steps

MEASURED = Path(__file__).resolve().parents[2] / "shared" / "data" / "steps_vs_batch.csv"
B = 2.0 ** np.arange(2, 12)
EXACT = {
    "rational": (1000.0 * B / (B - 3.0), 6.0),
    "power": (1000.0 * (1.0 + 40.0 / B) ** 2.5, 60.0),
    "source": (1000.0 * (B / (B - 3.5)) ** 4.0, 17.5),
    "expansion": (1000.0 * (1.0 + 100.0 / B + (50.0 / B) ** 2), 50.0),
}


@pytest.mark.parametrize("name", EXACT)
def test_points_of_a_family_give_its_critical_batch_size_and_parameters(name):
    steps, known = EXACT[name]
    r = fit_steps(B, steps)
    assert r.status == "interior optimum"
    fitted = next(f for f in r.families if f.name == name)
    assert fitted.batch_size == pytest.approx(known, rel=1e-3)
    assert fitted.misfit < 1e-3
    assert r.misfit < 1e-3
    # The least of K b by brute force lies in every range.
    assert np.argmin(B * steps) == np.argmin(B * r.predict(B))
    assert all(low <= known <= high for low, high in r.ranges.values())


def test_the_ranges_hold_the_batch_sizes_within_their_share_of_the_least_samples():
    steps, known = EXACT["power"]
    r = fit_steps(B, steps)
    least = known * (1.0 + 40.0 / known) ** 2.5
    for share, (low, high) in r.ranges.items():
        for end in (low, high):
            # 2,001 points over the range, and the fit, leave less than 1 %.
            assert end * (1.0 + 40.0 / end) ** 2.5 / least == pytest.approx(1.0 + share, rel=0.01)


def test_there_is_no_interior_optimum_where_samples_only_grow_with_the_batch():
    r = fit_steps(B, 1000.0 * (1.0 + 64.0 / B))
    assert r.status == "no interior optimum"
    assert np.isnan(r.batch_size)
    assert r.interval[0] == B[0]
    assert "smaller batch sizes" in r.notes[0]


def test_nor_where_they_only_fall():
    r = fit_steps(B, 1000.0 * (1.0 + 1e8 / B**2))
    assert r.status == "no interior optimum"
    assert "larger batch sizes" in r.notes[0]


def test_whole_epochs_are_read_half_an_epoch_early():
    truth = 2e6 * (1.0 + 40.0 / B) ** 2 / B
    epoch = 5e4
    rounded = np.ceil(truth * B / epoch) * epoch / B
    r = fit_steps(B, rounded, epoch=epoch)
    bias = np.log(r.predict(B) / truth)
    # Without the half epoch the mean would be that of epoch / (2 samples): 0.008 here.
    assert abs(bias.mean()) < 0.3 * np.mean(epoch / (2.0 * rounded * B))


@pytest.mark.slow
def test_the_interval_covers_a_known_optimum_as_often_as_it_says():
    rng = np.random.default_rng(11)
    hits = 0
    for i in range(40):
        q, known = rng.uniform(1.5, 4.0), np.exp(rng.uniform(np.log(8.0), np.log(256.0)))
        steps = 1000.0 * (1.0 + known / (q - 1.0) / B) ** q * np.exp(0.25 * rng.standard_normal(B.size))
        low, high = fit_steps(B, steps, draws=300, seed=i).interval
        hits += low <= known <= high
    # 36 expected; three standard deviations of a binomial below.
    assert hits >= 30


def test_many_fits_at_once_are_those_of_one_after_another():
    rng = np.random.default_rng(0)
    points = np.log(EXACT["power"][0]) + 0.1 * rng.standard_normal((3, B.size))
    weights = rng.uniform(1.0, 2.0, points.shape)
    for family in FAMILIES:
        together = fit_family(family, B, points, weights)
        alone = [fit_family(family, B, p[None], w[None]).critical[0] for p, w in zip(points, weights, strict=True)]
        np.testing.assert_allclose(together.critical, alone, rtol=1e-9, atol=1e-12)


def test_a_common_factor_of_the_steps_changes_nothing_but_the_level():
    steps, _ = EXACT["power"]
    one, other = fit_steps(B, steps), fit_steps(B, 7.0 * steps)
    assert one.interval == pytest.approx(other.interval, rel=1e-6)
    assert one.families[0].parameters["A"] * 7.0 == pytest.approx(other.families[0].parameters["A"], rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2, 4], [9, 5, 3]), "at least 4 different values, got 3"),
        (([1, 2, 4, 8], [9, 5, 3]), "one length, got 4 and 3"),
        (([1, 2, 4, 8], [9, 5, 3, 0]), "steps must be positive, got 0"),
        (([1, 2, 4, 8], [9, 5, np.nan, 1]), r"steps\[2\] is nan"),
        (([1, 2, 4, 8], [9, 5, 3, 2], -1.0), "epoch must be positive, got -1.0"),
    ],
)
def test_bad_points_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_steps(*arguments)


@pytest.mark.skipif(not MEASURED.exists(), reason="the measured steps are not part of the project")
def test_measured_series_are_met_within_a_quarter():
    series: dict[tuple[str, str], list[tuple[int, int]]] = {}
    with MEASURED.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            key = row["workload"], row["series"]
            series.setdefault(key, []).append((int(row["batch_size"]), int(row["steps"])))
    fits = [fit_steps(*np.array(points).T, epoch=50_000, draws=100) for points in series.values()]
    assert len(fits) == 21
    assert np.median([f.misfit for f in fits]) < 0.25
