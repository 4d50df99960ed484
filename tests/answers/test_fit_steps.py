"""Families of steps against batch size, and the critical batch size with its interval."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from genfun.answers.batch.fit_steps import fit_steps
from genfun.answers.batch.step_families import FAMILIES, fit_family

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MEASURED, LANGUAGE = DATA / "steps_vs_batch.csv", DATA / "steps_lm.csv"
PUBLISHED = {"85M": 745.0, "302M": 1394.0, "1.2B": 2533.0}
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


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.03, 0.2])
def test_optima_are_not_found_where_there_are_none(noise):
    rng, false = np.random.default_rng(21), 0
    for i in range(50):
        steps = 900.0 * (1.0 + np.exp(rng.uniform(2.0, 6.0)) / B) * np.exp(noise * rng.standard_normal(B.size))
        r = fit_steps(B, steps, draws=100, seed=i)
        false += r.status == "interior optimum"
        # A close call is told.
        close = any("not told apart" in n for n in r.notes)
        with_one = sum(f.weight for f in r.families if B[0] < f.batch_size < B[-1])
        assert close == (0.1 < with_one < 0.9)
    # One in ten by the weight that is asked for; three standard deviations of the count above.
    assert false <= 11


@pytest.mark.slow
def test_the_ratio_of_a_noisy_hyperbola_has_an_interval_that_holds_it():
    rng, hits, width = np.random.default_rng(5), 0, []
    for i in range(24):
        r = fit_steps(B, 900.0 * (1.0 + 128.0 / B) * np.exp(0.03 * rng.standard_normal(B.size)), draws=1000, seed=i)
        low, high = r.ratio_interval
        hits += low <= 128.0 <= high
        width.append(high / low)
        assert low < r.ratio < high
    # 21.6 expected; three standard deviations of a binomial below.
    assert hits >= 17
    assert 1.05 < np.median(width) < 1.25


def test_the_overhead_is_the_batch_size_of_that_many_more_samples():
    r = fit_steps(B, 900.0 * (1.0 + 128.0 / B))
    assert r.ratio == pytest.approx(128.0, rel=1e-4)
    for share, reference in ((0.2, None), (0.5, 256.0), (0.2, 0.0)):
        start = B[0] if reference is None else reference
        assert r.overhead(share, reference) + 128.0 == pytest.approx((1.0 + share) * (start + 128.0), rel=1e-4)
    with pytest.raises(ValueError, match="share must be positive"):
        r.overhead(0.0)
    with pytest.raises(ValueError, match="reference must be zero or positive"):
        r.overhead(0.2, -1.0)


@pytest.mark.skipif(not LANGUAGE.exists(), reason="the measured steps are not part of the project")
def test_published_critical_batch_sizes_of_language_models_are_the_overhead_of_a_fifth_from_256_on():
    series: dict[str, list[tuple[float, float]]] = {}
    with LANGUAGE.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            series.setdefault(row["model"], []).append((float(row["batch_size"]), float(row["steps"])))
    assert set(series) == set(PUBLISHED)
    for model, points in series.items():
        r = fit_steps(*np.array(points).T, draws=1000)
        # The published numbers are rounded to whole ones; their fit is another least squares, hence 1 %.
        assert r.overhead(0.2, reference=256) == pytest.approx(PUBLISHED[model], rel=0.01)
        assert r.ratio_interval[0] < (PUBLISHED[model] - 1.2 * 256) / 0.2 < r.ratio_interval[1]


RUNS = np.repeat(2.0 ** np.arange(2, 12), 4)[:38]


@pytest.mark.parametrize(("where", "factor"), [(0, 0.3), (5, 3.0), (18, 100.0), (37, 0.3), (37, 3.0)])
def test_one_outlier_of_many_runs_changes_no_verdict_and_is_named(where, factor):
    rng = np.random.default_rng(where)
    steps = 900.0 * (1.0 + 128.0 / RUNS) * np.exp(0.05 * rng.standard_normal(RUNS.size))
    clean = fit_steps(RUNS, steps, draws=100)
    steps[where] *= factor
    r = fit_steps(RUNS, steps, draws=100)
    assert r.outliers == (where,)
    assert any(n.startswith(f"point {where + 1}, batch size {RUNS[where]:g} with") for n in r.notes)
    assert (r.status, r.family) == (clean.status, clean.family)
    # As if the run had not been made.
    alone = fit_steps(np.delete(RUNS, where), np.delete(steps, where), draws=100)
    assert r.ratio == pytest.approx(alone.ratio, rel=1e-9)
    assert r.steps.size == RUNS.size


@pytest.mark.slow
def test_several_outliers_do_not_hide_each_other_and_normal_errors_have_none():
    rng, false = np.random.default_rng(8), 0
    for _ in range(10):
        steps = 900.0 * (1.0 + 128.0 / RUNS) * np.exp(0.1 * rng.standard_normal(RUNS.size))
        false += len(fit_steps(RUNS, steps, draws=100).outliers) > 0
        spoilt = steps.copy()
        spoilt[[9, 10, 30]] *= [4.0, 4.0, 0.2]
        assert {9, 10, 30} <= set(fit_steps(RUNS, spoilt, draws=100).outliers)
    # 1 % of the sets; three standard deviations of the count above.
    assert false <= 1


def test_an_upturn_at_the_smallest_batch_size_is_no_outlier():
    # Half a family: a single small batch that took twice the samples may be the optimum showing.
    noise = np.exp(0.1 * np.random.default_rng(2).standard_normal(B.size))
    steps = 900.0 * (1.0 + 128.0 / B) * noise * np.where(B[0] == B, 2.0, 1.0)
    assert fit_steps(B, steps, draws=100).outliers == ()


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
    for i in range(30):
        q, known = rng.uniform(1.5, 4.0), np.exp(rng.uniform(np.log(8.0), np.log(256.0)))
        steps = 1000.0 * (1.0 + known / (q - 1.0) / B) ** q * np.exp(0.25 * rng.standard_normal(B.size))
        low, high = fit_steps(B, steps, draws=200, seed=i).interval
        hits += low <= known <= high
    # 27 expected; three standard deviations of a binomial below.
    assert hits >= 22


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


@pytest.mark.slow
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
