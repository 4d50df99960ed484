"""The full MNIST, downloaded once into the user's cache and checked by its sha256."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from genfun.data._idx import PARTS, Pair, idx_names, pair, read_idx

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def fetch(name: str) -> Path:
    """The cached file of this name, downloaded from the first mirror that has it intact.

    Raises
    ------
    ImportError
        Without pooch.
    ConnectionError
        If no mirror can be reached or none has the right bytes.
    """
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            'downloading MNIST needs pooch: pip install "genfun[download]", or pass path= to files that you have'
        ) from error
    cache = pooch.os_cache("genfun")
    failures: list[str] = []
    for mirror in MIRRORS:
        try:
            found = pooch.retrieve(mirror + name, known_hash=f"sha256:{SHA256[name]}", fname=name, path=cache)
        # requests' errors are OSErrors; pooch reports a wrong checksum as ValueError and leaves no file behind.
        except (OSError, ValueError) as error:
            failures.append(f"{mirror + name}: {type(error).__name__}: {error}")
            continue
        return Path(found)
    raise ConnectionError(
        f"could not get {name} of MNIST (cache: {os.fspath(cache)}).\n" + "\n".join(failures) + "\n"
        "Without a network pass path= to a directory with the standard files, an NPZ file with images and labels, or "
        "(images file, labels file); n up to 10000 uses the digits inside the package."
    )


def download(n: int) -> Pair:
    """The 60,000 training digits, followed by the 10,000 test digits where n asks for more."""
    pairs = []
    for part in PARTS[: 1 if n <= 60_000 else 2]:
        images, labels = (fetch(name + ".gz") for name in idx_names(part))
        pairs.append(pair(read_idx(images), read_idx(labels), f"MNIST {part}"))
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])
