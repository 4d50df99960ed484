"""The questions users ask, one file each."""

from __future__ import annotations

from genfun.answers.predict import Prediction, predict
from genfun.answers.stability import Stability, max_learning_rate, noise_gain_map, stability

__all__ = ["Prediction", "Stability", "max_learning_rate", "noise_gain_map", "predict", "stability"]
