"""The page whose sliders move a loss curve: computed while the pages are built, drawn by BokehJS from bokeh's wheel."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

SCRIPTS = "bokeh.min.js", "bokeh-widgets.min.js"
RATES, MOMENTA = np.geomspace(0.01, 4.0, 14), np.array([-0.8, -0.5, 0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95])
FIRST = 9, 2
"""The setting that is shown first."""
LOSSES = 2e-4, 30.0
BEYOND = 1e6
LINES = "loss", "quiet", "excess"
TITLE = "Move a setting"
TEXT = f"""# {TITLE}
A power law (capacity exponent 1.5, source exponent 0.5, 100 modes, a little label noise), trained with batches of 10.
Move the sliders, or click into the map. Beyond the edge the mean loss grows, and near it batch noise holds the loss up.

```{{raw}} html
"""
AFTER = """
```

Every curve was computed when this page was built, and nothing is fetched from anywhere. With your own data, any batch
size, schedules and real runs beside the prediction: [`genfun explore`](../explorer.md).
"""
# A curve of the store takes the place of the one that is drawn, and the dot moves on the map.
MOVE = """
const k = rate.value * momenta.length + beta.value, n = steps.length;
const data = {step: steps};
for (const name of names) data[name] = steps.map((_, i) => store[name][k * n + i]);
lines.data = data;
point.data = {x: [rates[rate.value]], y: [momenta[beta.value]]};
rate.title = "learning rate " + rates[rate.value].toPrecision(3);
beta.title = "momentum " + momenta[beta.value];
figure.title.text = "Loss: " + verdicts[k];
"""
PICK = """
const nearest = (all, x) => all.reduce((best, v, i) => Math.abs(v - x) < Math.abs(all[best] - x) ? i : best, 0);
rate.value = nearest(rates.map(Math.log), Math.log(cb_obj.x));
beta.value = nearest(momenta, cb_obj.y);
"""


def scripts(folder: Path) -> None:
    """Copy BokehJS out of the wheel.

    Parameters
    ----------
    folder : Path
    """
    import bokeh

    folder.mkdir(parents=True, exist_ok=True)
    for name in SCRIPTS:
        shutil.copy(Path(bokeh.__file__).parent / "server" / "static" / "js" / name, folder / name)


def layout() -> Any:
    """The sliders and both pictures, with all curves in them."""
    from bokeh.events import Tap
    from bokeh.layouts import column, row
    from bokeh.models import CustomJS, Slider

    from genfun.explorer import model
    from genfun.explorer.pictures import CurvePicture, MapPicture, drawable
    from genfun.explorer.state import State

    start = State(problem="power-law", n_modes=100, label_noise=1e-3, batch_size=10)
    found = [
        model.curve(replace(start, learning_rate=float(rate), momentum=float(beta)))
        for rate in RATES
        for beta in MOMENTA
    ]
    columns = ([c.prediction.loss for c in found], [c.quiet for c in found], [c.excess for c in found])
    seen = [np.where(np.asarray(x) < BEYOND, drawable(x), np.nan) for x in columns]
    store = {name: values.astype(np.float32).ravel() for name, values in zip(LINES, seen, strict=True)}
    curves, chart = CurvePicture(), MapPicture()
    first = FIRST[0] * len(MOMENTA) + FIRST[1]
    curves.show(found[first])
    chart.show(model.chart(start))
    chart.place(float(RATES[FIRST[0]]), float(MOMENTA[FIRST[1]]))
    for picture, names in (
        (curves, ("predicted", "no batch noise", "by batch noise")),
        (chart, ("edge", "this setting")),
    ):
        legend = picture.figure.legend[0]
        legend.items = [item for item in legend.items if item.label.value in names]
        picture.figure.update(sizing_mode="stretch_width", height=330, toolbar_location=None)
    curves.marks.data = {name: [] for name in curves.marks.data}  # they are of one setting
    curves.figure.y_range.update(start=LOSSES[0], end=LOSSES[1])
    look: dict[str, Any] = {"step": 1, "start": 0, "show_value": False, "sizing_mode": "stretch_width"}
    rate = Slider(value=FIRST[0], end=len(RATES) - 1, title=f"learning rate {RATES[FIRST[0]]:.3g}", **look)
    beta = Slider(value=FIRST[1], end=len(MOMENTA) - 1, title=f"momentum {MOMENTA[FIRST[1]]:g}", **look)
    ends: dict[str, Any] = {"rate": rate, "beta": beta, "rates": RATES.tolist(), "momenta": MOMENTA.tolist()}
    drawn = {"lines": curves.lines, "point": chart.point, "figure": curves.figure, "store": store}
    words = {"names": LINES, "steps": found[0].prediction.steps.tolist()}
    words |= {"verdicts": [c.stability.status for c in found]}
    move = CustomJS(args=ends | drawn | words, code=MOVE)
    for slider in (rate, beta):
        slider.js_on_change("value", move)
    chart.figure.js_on_event(Tap, CustomJS(args=ends, code=PICK))
    return column(
        row(rate, beta, sizing_mode="stretch_width"), curves.figure, chart.figure, sizing_mode="stretch_width"
    )


def page(scripts_at: str) -> str:
    """The page, in Markdown.

    Parameters
    ----------
    scripts_at : str
        Where the scripts lie, from the page.
    """
    from bokeh.embed import components

    script, place = components(layout())
    loaded = "".join(f'<script src="{scripts_at}/{name}"></script>\n' for name in SCRIPTS)
    return f"{TEXT}{loaded}{place}\n{script}{AFTER}"
