"""What the page says of itself, and the look of its parts."""

from __future__ import annotations

import html

from genfun.explorer.controls import BOX
from genfun.explorer.state import State

CANNOT = "the numbers of this view cannot be computed; move a control"
UNREADABLE = "the file cannot be read, or its numbers are beyond those of doubles; write it again"
NOT_IN_LINK = "The link does not carry your file: elsewhere it needs `genfun explore FILE`."
OF_DATA = {"tau2": None, "label_noise": 0.0, "target": "", "held_out": 0.0, "sampling": "fresh"}
"""What does not stay when another problem is chosen."""
MEASURING = (
    "All numbers here are by constants fitted to the data's batch noise; the data's own is being measured, and then "
    "they follow."
)
TOO_MANY = (
    "All numbers here are by constants fitted to the data's batch noise; that of so many samples is measured by "
    "`genfun max-lr` and `genfun predict`, not here."
)
WRONG = "#8F3300"
MESSAGE: dict[str, str | None] = {
    "background": "#FFF4EA", "border-left": "4px solid #D55E00", "padding": "7px 12px 2px", "font-size": "14px",
    "box-shadow": "0 2px 8px rgba(0,0,0,0.18)",
}  # fmt: skip
LINK = f"{BOX} label {{ flex: 0 }} .bk-input-group > :not(label) {{ flex: 1 1 auto }}"
PIN, UNPIN = "pin this setting", "take the pin out"
SMALL = ".bk-btn { padding: 3px 8px; font-size: 13px }"


def paragraphs(lines: tuple[str, ...], colour: str = "#222222") -> str:
    """Lines of text as HTML.

    Parameters
    ----------
    lines : tuple of str
        From anyone.
    colour : str
    """
    # The only place where text becomes HTML, and it is escaped.
    return "".join(f'<p style="margin:0 0 4px;color:{colour}">{html.escape(line)}</p>' for line in lines)


def download_links(query: str) -> str:
    """Links to what can be taken away, as HTML.

    Parameters
    ----------
    query : str
        Of numbers and names of the program's own; escaped all the same.
    """
    ways = (("figure.png", "figure"), ("curve.csv", "CSV"), ("curve.py", "Python"))
    links = (f'<a href="{name}?{html.escape(query)}" download="{name}">{label}</a>' for name, label in ways)
    return "download: " + " &middot; ".join(links)


SCENARIOS = {
    "noise sets the edge": State("power-law", learning_rate=0.09, momentum=0.9, batch_size=1),
    "stable for 4e7 steps": State("power-law", 0.8, n_modes=None, learning_rate=0.05, momentum=0.0, steps=10**8),
    "negative momentum": State("power-law", zeta=2.0, learning_rate=0.248, momentum=-0.138, batch_size=1),
    "digits, held out": State("mnist-pixels", learning_rate=0.01, momentum=0.9, held_out=0.2),
}
"""Views worth a look, by name."""


def scenario_links() -> str:
    """Links to them, as HTML; each opens beside the page, which may hold a file that no link carries."""
    links = (
        f'<a href="?{html.escape(state.query)}" target="_blank">{html.escape(name)}</a>'
        for name, state in SCENARIOS.items()
    )
    return "look at: " + " &middot; ".join(links)
