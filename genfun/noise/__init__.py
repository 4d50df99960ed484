"""Mini-batch noise: its models, one file each, and the sampling factor."""

from __future__ import annotations

from genfun.noise.base import Noise, NoiseModel, quick
from genfun.noise.expressible import SpectrallyExpressible
from genfun.noise.sampling import sampling_factor

__all__ = ["Noise", "NoiseModel", "SpectrallyExpressible", "quick", "sampling_factor"]
