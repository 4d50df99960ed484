"""Data: from samples, kernels, files or prescribed spectra to linear problems."""

from __future__ import annotations

from genfun.data.digits import mnist, mnist_arrays
from genfun.data.files import load
from genfun.data.kernels import relu_ntk
from genfun.data.linear import LinearData
from genfun.data.noise_fit import NoiseFit
from genfun.data.synthetic import gaussian, translation_invariant
from genfun.data.tangent_operator import TorchOperator, torch_operator

__all__ = [
    "LinearData",
    "NoiseFit",
    "TorchOperator",
    "gaussian",
    "load",
    "mnist",
    "mnist_arrays",
    "relu_ntk",
    "torch_operator",
    "translation_invariant",
]
