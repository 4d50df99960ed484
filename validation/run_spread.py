"""The spread of the loss across runs on data: predicted deviation and 90 % band against 1,000 simulated runs."""

from __future__ import annotations

import numpy as np

import genfun as gf
from genfun.experiments import simulate
from validation.claim import Claim
from validation.noise_edges import data_sets

SETS = ("breast cancer, standardised", "Gaussian", "log-normal", "1 % indicator", "one-hot, Zipf")
STEP, RUNS = 300, 1000


def claims(fast: bool = False) -> list[Claim]:
    named = {name: data for name, data in data_sets() if name in SETS}
    named["digits, NTK, 150"] = gf.data.mnist(150)
    found = []
    for name, data in named.items():
        for b, beta in ((1, 0.0), (8, 0.5)):
            edge = gf.max_learning_rate(data, beta, b)
            for share in (0.3,) if fast else (0.3, 0.5):
                method = gf.SGD(share * edge, beta, b)
                losses = simulate(data, method, STEP, RUNS, record=[STEP]).loss[:, -1]
                spread = gf.spread(data, method, STEP)
                low, high = spread.quantile([0.05, 0.95])
                inside = float(np.mean((losses > low) & (losses < high)))
                fitted = gf.spread(data, method, STEP, "fitted").sd / losses.std()
                away = (losses - losses.mean()) / losses.std()
                known = float(np.sqrt((np.mean(away**4) - 1.0) / (4.0 * RUNS)))
                where = f"spread, {name}, b={b}, beta={beta:g}, {share:g} of the edge"
                note = f"deviation of the runs known to {known:.0%}; with fitted constants {fitted:.2f}"
                told = "" if spread.status == "ok" else f"the answer says: {spread.status}"
                rare = told if name != "one-hot, Zipf" else "rare categories carry the deviation: not Gaussian"
                ratio, width = float(spread.sd / losses.std()), 0.2 + 2.5 * known
                found.append(
                    Claim(
                        f"{where}: deviation over that of {RUNS} runs",
                        ratio,
                        1.0,
                        width,
                        "approximate",
                        "runs",
                        note,
                        rare,
                    )
                )
                found.append(
                    Claim(
                        f"{where}: share of runs in the 90 % band", inside, 0.9, 0.08, "approximate", "runs", "", rare
                    )
                )
    return found
