"""What a noise model is and how well it is known: the same in every text, table and JSON."""

from __future__ import annotations

import math
from typing import Any

from genfun.noise import NoiseModel, SpectrallyExpressible

SOURCES = {
    "measured": "measured on the data",
    "exact": "exactly that of the data",
    "fitted": "estimated from the data",
}
"""Where the noise of data is from, in words, by its name."""


def noise_words(noise: NoiseModel) -> str:
    """A noise model in words; those of data say how well they are known, and warn where that is not well enough.

    Parameters
    ----------
    noise : SpectrallyExpressible or Noise

    Examples
    --------
    >>> noise_words(SpectrallyExpressible(1.0, -1.0))
    'tau1 = 1, tau2 = -1'
    """
    if isinstance(noise, SpectrallyExpressible):
        return f"tau1 = {noise.tau1:.4g}, tau2 = {noise.tau2:.4g}"
    text = getattr(noise, "words", repr(noise))
    return text if getattr(noise, "sound", True) else f"{text}: NOISE UNCERTAIN, check with noise exact"


def noise_facts(noise: NoiseModel) -> dict[str, Any]:
    """The numbers of a noise model by name; None where one does not apply.

    Parameters
    ----------
    noise : SpectrallyExpressible or Noise

    Examples
    --------
    >>> noise_facts(SpectrallyExpressible(1.0, -1.0))["model"]
    'SpectrallyExpressible'
    """
    facts = {"model": type(noise).__name__, "tau1": None, "tau2": None}
    if isinstance(noise, SpectrallyExpressible):
        facts |= {"tau1": noise.tau1, "tau2": noise.tau2}
    errors = ("error", "loss_error")
    return facts | {name: getattr(noise, name, None) for name in errors} | {"sound": getattr(noise, "sound", None)}


def edge_error(noise: NoiseModel, noisy: bool = True) -> float:
    """Estimated relative error of a largest stable learning rate by what the noise model leaves out; nan if unknown.

    Parameters
    ----------
    noise : SpectrallyExpressible or Noise
    noisy : bool
        Whether there is batch noise at all, and it is what binds.
    """
    return float(getattr(noise, "error", math.nan)) if noisy else 0.0
