"""What an answer about the phase says besides."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genfun.answers.phase import Phase


def spectrum_notes(
    is_power_law: bool,
    fit_notes: tuple[str, ...],
    infinite: bool,
    nu: float,
    name: str,
    transition: float,
    end: float,
) -> tuple[str, ...]:
    """What a finite or a fitted spectrum changes.

    Parameters
    ----------
    is_power_law : bool
    fit_notes : tuple of str
    infinite : bool
        Whether the spectrum has no end.
    nu : float
    name : str
        Of the phase.
    transition, end : float
    """
    notes = [] if is_power_law else list(fit_notes)
    if not infinite:
        if nu <= 1.0 and "divergence" not in name:
            notes.append(f"stable only because the spectrum ends: nu = {nu:.3g} <= 1 would diverge without truncation")
        if math.isfinite(transition) and transition > end:
            notes.append(
                f"the spectrum ends at step {end:.3g}, before the transition at {transition:.3g}: it will not be seen"
            )
    return tuple(notes)


def term_notes(f: Phase) -> tuple[str, ...]:
    """What its terms do to one another.

    Parameters
    ----------
    f : Phase
    """
    notes = []
    if "divergence" in f.name:
        return ()
    if f.on_border:
        notes.append(
            "on the border of the two phases: signal and noise fall alike, and the constant is that of their sum"
        )
    elif f.later == "signal" and f.noise_constant > f.signal_constant:
        until = f"step {f.transition_step:.3g}" if math.isfinite(f.transition_step) else "any step that can be reached"
        notes.append(f"the noise term leads first, t^-{f.noise_exponent:.4g}, until {until}")
    if f.floor > 0.0:
        held = f"label noise holds the loss {f.floor:.3g} above its lowest"
        text = f"{held}, where the decay ends at step {f.floor_step:.3g}"
        if f.floor_constant > 0.0:
            text += f"; it is approached as t^-{f.noise_exponent - 1.0:.3g}, from below"
        notes.append(text)
    return tuple(notes)
