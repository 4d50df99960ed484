"""What is no single setting of a method is refused by name, by every answer that needs one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import genfun as gf
from genfun.experiments import simulate

SCHEDULE = gf.ScheduledSGD(np.full(30, 0.1), 0.5, 5)
NEED_A_METHOD: dict[str, Callable[[Any, Any], Any]] = {
    "predict": lambda d, m: gf.predict(d, m, 5),
    "spread": lambda d, m: gf.spread(d, m, 5),
    "predict_test": lambda d, m: gf.predict_test(d, m, 5, d.eigenfeatures, d.targets, d.eigenfeatures),
    "leave_one_out": lambda d, m: gf.leave_one_out(d, m, 5),
    "noise_scale": lambda d, m: gf.noise_scale(d, m, [3]),
    "big_batch": lambda d, m: gf.big_batch(d, m, [3]),
    "escape_steps": lambda d, m: gf.escape_steps(d, m, 2.0),
    "explain": lambda d, m: gf.explain(d, m, 5),
    "stability": lambda d, m: gf.stability(d, m),
    "steps_to_loss": lambda d, m: gf.steps_to_loss(d, m, 1.0),
    "phase": lambda d, m: gf.phase(d, m),
    "local_exponent": lambda d, m: gf.local_exponent(d, m, 5),
    "simulate": lambda d, m: simulate(d, m, 5, replicas=2),
    "translate": lambda d, m: gf.translate(d, m, 7),
}
FOLLOW_SCHEDULES = {"predict", "spread", "steps_to_loss", "local_exponent"}
HELD_OUT = {"predict_test", "leave_one_out"}


@pytest.fixture(scope="module")
def data() -> gf.LinearData:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 6))
    return gf.LinearData.from_features(X, X @ rng.standard_normal(6) + rng.standard_normal(40))


@pytest.mark.parametrize("wrong", [None, "SGD", gf.SGD, 0.1], ids=["None", "a name", "a class", "a number"])
@pytest.mark.parametrize("name", NEED_A_METHOD)
def test_what_is_no_method_is_refused_by_name(data: gf.LinearData, name: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^method must be a (method such as SGD, got|dataclass, such as SGD)"):
        NEED_A_METHOD[name](data, wrong)


@pytest.mark.parametrize("name", NEED_A_METHOD)
def test_a_schedule_is_followed_or_refused_with_the_answers_that_follow_one(data: gf.LinearData, name: str) -> None:
    if name in FOLLOW_SCHEDULES:
        NEED_A_METHOD[name](data, SCHEDULE)
    elif name in HELD_OUT:
        with pytest.raises(ValueError, match="takes constant hyperparameters, got a ScheduledSGD"):
            NEED_A_METHOD[name](data, SCHEDULE)
    else:
        with pytest.raises(TypeError, match="^method must be .*ScheduledSGD.*known to predict, spread"):
            NEED_A_METHOD[name](data, SCHEDULE)


@pytest.mark.parametrize("answer", [gf.optimize, gf.max_learning_rate])
def test_searches_refuse_a_schedule_as_their_template(data: gf.LinearData, answer: Any) -> None:
    steps = {"steps": 5} if answer is gf.optimize else {}
    with pytest.raises(TypeError, match="^method must be .*ScheduledSGD"):
        answer(data, method=SCHEDULE, **steps)


def test_answers_about_no_single_method_take_none(data: gf.LinearData) -> None:
    assert gf.max_learning_rate(data, method=None) > 0.0
    assert gf.optimize(data, 5, 5, momentum=0.0, method=None).loss > 0.0


def test_leave_one_out_refuses_nesterov_and_predict_test_knows_it(data: gf.LinearData) -> None:
    m = gf.SGD(0.1, 0.6, 4, nesterov=True)
    with pytest.raises(ValueError, match="nesterov=True is not known here.*leave it out"):
        gf.leave_one_out(data, m, 5)
    for other in (m, gf.QHM(0.1, 0.9, 0.7, 4)):
        rows = (data.eigenfeatures[:20], data.targets[:20], data.eigenfeatures)
        told, full = (gf.predict_test(data, other, [2, 5, 30], *rows, noise=name) for name in ("measured", "exact"))
        assert told.loss == pytest.approx(full.loss, rel=5e-3)
        assert told.loss - told.mean_loss == pytest.approx(full.loss - full.mean_loss, rel=0.05)


@pytest.mark.parametrize("option", ["weight_decay", "dampening"])
@pytest.mark.parametrize("name", sorted(HELD_OUT))
def test_held_out_answers_refuse_options_whose_first_step_differs(data: gf.LinearData, name: str, option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}=0.1: not derived here"):
        NEED_A_METHOD[name](data, gf.SGD(0.1, 0.5, 5, **{option: 0.1}))
