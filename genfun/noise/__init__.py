"""Mini-batch noise: its models, one file each, and the sampling factor."""

from __future__ import annotations

from genfun.noise.base import Noise, NoiseModel, for_maps, quick
from genfun.noise.expressible import SpectrallyExpressible
from genfun.noise.sampling import sampling_factor

__all__ = ["Noise", "NoiseModel", "SpectrallyExpressible", "for_maps", "quick", "sampling_factor"]
