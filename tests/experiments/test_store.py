"""Files of a sweep: whole or absent, damage is always seen, and a store serves one problem only."""

from __future__ import annotations

import contextlib
import errno
import os
import time

import numpy as np
import pytest

import genfun as gf
from genfun.data import gaussian, translation_invariant
from genfun.experiments.sweeps.sealed import Damaged, decode, encode, write_whole
from genfun.experiments.sweeps.shared_data import as_arrays, difference, from_arrays
from genfun.experiments.sweeps.store import SweepStore

SPEC = {"steps": 3, "replicas": 2, "seed": 0, "record": "all"}
SETTING = gf.SGD(0.1, -0.5, 2)
LOSS = np.arange(8.0).reshape(2, 4) / 3.0
DATA = gaussian([1.0, 0.5, 0.2], [1.0, 1.0, 1.0], 16, seed=0, noise_variance=0.1)


def open_store(path, data=DATA, **changes):
    return SweepStore.open(path, data, SPEC | changes)


def test_a_file_returns_its_facts_and_bits():
    awkward = {"a": np.array([[np.inf, 5e-324], [-0.0, np.nextafter(1.0, 2.0)]]), "b": np.zeros((0, 3))}
    facts, arrays = decode(encode({"x": 0.1, "n": None}, awkward))
    assert facts == {"x": 0.1, "n": None}
    assert {k: (v.shape, v.tobytes()) for k, v in arrays.items()} == {
        k: (v.shape, v.tobytes()) for k, v in awkward.items()
    }


def test_every_truncation_and_every_flipped_bit_is_seen():
    raw = encode({"x": 1}, {"a": np.array([1.5])})
    for n in range(len(raw)):
        with pytest.raises(Damaged):
            decode(raw[:n])
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            decode(bytes(flipped))
    with pytest.raises(Damaged, match=r"truncated: \d+ of \d+ bytes"):
        decode(raw[:-1])


@contextlib.contextmanager
def open_on_a_full_disk(path, mode):
    """`open` where there is room for half a file."""
    with open(path, mode) as stream:
        yield Half(stream)


class Half:
    def __init__(self, stream):
        self.stream = stream

    def write(self, raw):
        self.stream.write(raw[: len(raw) // 2])
        self.stream.flush()
        no_room()


def no_room(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["open", "os.fsync", "os.replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(tmp_path, monkeypatch, where):
    path = tmp_path / "cell"
    write_whole(path, b"old")
    with monkeypatch.context() as patch:
        if where == "open":
            patch.setattr("genfun.experiments.sweeps.sealed.open", open_on_a_full_disk, raising=False)
        else:
            patch.setattr(where, no_room)
        with pytest.raises(OSError, match="No space left"):
            write_whole(path, b"new" * 1000)
    assert [p.name for p in tmp_path.iterdir()] == ["cell"]
    assert path.read_bytes() == b"old"


def test_a_cell_is_found_again_by_its_setting_only(tmp_path):
    open_store(tmp_path / "s").save(SETTING, LOSS)
    again = open_store(tmp_path / "s")
    assert again.load(SETTING, (2, 4)).tobytes() == LOSS.tobytes()
    for other in (gf.SGD(0.1, -0.5, 3), gf.SGD(np.nextafter(0.1, 1.0), -0.5, 2), gf.SGD(0.1, 0.5, 2)):
        assert again.load(other, (2, 4)) is None
    assert again.damaged == []


def test_a_damaged_cell_is_named_and_absent(tmp_path):
    store = open_store(tmp_path)
    store.save(SETTING, LOSS)
    path = store.path(SETTING)
    path.write_bytes(path.read_bytes()[:-9])
    assert store.load(SETTING, (2, 4)) is None
    assert store.damaged[0].startswith(f"{path.name}: it is truncated")


@pytest.mark.parametrize("changes", [{"steps": 4}, {"replicas": 3}, {"seed": 1}, {"record": [0, 3]}])
def test_another_setting_of_the_runs_is_refused_by_name(tmp_path, changes):
    open_store(tmp_path)
    with pytest.raises(ValueError, match=f"{next(iter(changes))}.*use a new folder"):
        open_store(tmp_path, **changes)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (gaussian([1.0, 0.5, 0.2], [1.0, 1.0, 1.0], 17, seed=0), "16 samples, not 17"),
        (gf.LinearData.from_features(DATA.eigenfeatures, np.hstack([DATA.targets] * 2)), "1 outputs, not 2"),
        (gf.LinearData.from_features(DATA.eigenfeatures, DATA.targets * (1 + 1e-8)), "targets differ"),
        (gf.LinearData.from_features(DATA.eigenfeatures * (1 + 1e-8), DATA.targets), "features differ"),
    ],
)
def test_other_data_are_refused_by_reason(tmp_path, other, reason):
    open_store(tmp_path)
    with pytest.raises(ValueError, match=reason):
        open_store(tmp_path, other)


def test_a_rotated_eigenbasis_of_the_same_data_goes_on_with_the_stored_one(tmp_path):
    # Degenerate modes, whose eigenvectors are free, and free signs: what another machine may find.
    data = translation_invariant([1.0, 0.5, 0.5], [1.0, 2.0, 1.0])
    turn = np.array([[-1.0, 0, 0], [0, 0.6, 0.8], [0, -0.8, 0.6]])
    arrays = as_arrays(data)
    rotated = from_arrays(
        arrays | {"eigenfeatures": arrays["eigenfeatures"] @ turn, "coefficients": turn.T @ arrays["coefficients"]}
    )
    assert difference(arrays, as_arrays(rotated)) == ""
    first = open_store(tmp_path, data)
    second = open_store(tmp_path, rotated)
    assert second.problem == first.problem
    assert second.shared.get().eigenfeatures.tobytes() == data.eigenfeatures.tobytes()


def test_lost_or_damaged_manifest_and_data_are_made_again(tmp_path):
    store = open_store(tmp_path)
    store.save(SETTING, LOSS)
    files = {name: (tmp_path / name).read_bytes() for name in ("sweep.json", "data.bin")}
    for name, raw in files.items():
        for damage in (raw[:-3], b"", raw[: len(raw) // 2] + b"?" + raw[len(raw) // 2 + 1 :], None):
            (tmp_path / name).unlink() if damage is None else (tmp_path / name).write_bytes(damage)
            again = open_store(tmp_path)
            assert again.load(SETTING, (2, 4)).tobytes() == LOSS.tobytes()
            assert [line.partition(":")[0] for line in again.damaged] == ([] if damage is None else [name])
            assert (tmp_path / name).read_bytes() == raw


def test_cells_of_another_problem_are_refused_even_without_a_manifest(tmp_path):
    open_store(tmp_path, seed=1).save(SETTING, LOSS)
    (tmp_path / "sweep.json").unlink()
    with pytest.raises(ValueError, match="belongs to another problem"):
        open_store(tmp_path).load(SETTING, (2, 4))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match=r"thesis\.tex.*no sweep"):
        open_store(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        open_store(tmp_path / "thesis.tex")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_old_temporary_files_go_and_new_ones_stay(tmp_path):
    store = open_store(tmp_path)
    old, new = store.path(SETTING).with_name(".x.cell.aa.tmp"), store.path(SETTING).with_name(".x.cell.bb.tmp")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    open_store(tmp_path)
    assert not old.exists()
    assert new.exists()
