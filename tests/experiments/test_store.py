"""Files of a sweep: whole or absent, damage is always seen, and a store serves one problem only."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import genfun as gf
from genfun._files import create_whole, write_all, write_whole
from genfun.data import gaussian, translation_invariant
from genfun.experiments.sweeps.sealed import Damaged, decode, encode
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
            patch.setattr("genfun._files.open", open_on_a_full_disk, raising=False)
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


def test_several_files_are_written_all_or_none(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").mkdir()
    with pytest.raises(IsADirectoryError, match="choose another name"):
        write_all({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_file_written_anew_keeps_its_permissions_and_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    real.chmod(0o600)
    link.symlink_to(real)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"new", 0o600)


@pytest.mark.parametrize("links", [True, False])
def test_only_the_first_creates_a_file(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOTSUP, "no links here")))
    assert create_whole(tmp_path / "a", b"mine")
    assert not create_whole(tmp_path / "a", b"yours")
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_of_two_sweeps_that_both_found_a_folder_empty_one_is_refused(tmp_path, monkeypatch):
    from genfun.experiments.sweeps import store as module

    open_store(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    real, looks = module.read_manifest, []

    def looked_before_the_first_had_written(*given):
        looks.append(given)
        return None if len(looks) == 1 else real(*given)

    monkeypatch.setattr(module, "read_manifest", looked_before_the_first_had_written)
    with pytest.raises(ValueError, match="seed=0, not 1; use a new folder"):
        open_store(tmp_path, seed=1)
    looks.clear()
    open_store(tmp_path)  # the same sweep is welcome
    assert len(looks) > 1
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


STARTED_TOGETHER = """
import sys, time
from genfun.data import gaussian
from genfun.experiments.sweeps.store import SweepStore
seed, moment = int(sys.argv[1]), float(sys.argv[2])
data = gaussian([1.0, 0.5, 0.2], [1.0, 1.0, 1.0], 16, seed=0)
for i, folder in enumerate(sys.argv[3:]):
    time.sleep(max(moment + 0.1 * i - 0.005 - time.time(), 0.0))
    while time.time() < moment + 0.1 * i:
        pass
    try:
        SweepStore.open(folder, data, {"steps": 3, "replicas": 2, "seed": seed, "record": "all"})
        print("opened")
    except ValueError as error:
        print("refused" if "use a new folder" in str(error) else error)
"""


@pytest.mark.slow
def test_of_two_processes_with_other_seeds_in_one_new_folder_one_is_refused(tmp_path):
    folders = [str(tmp_path / f"sweep{i}") for i in range(8)]
    moment = time.time() + 4.0
    words = [[sys.executable, "-c", STARTED_TOGETHER, str(seed), repr(moment), *folders] for seed in (1, 2)]
    both = [subprocess.Popen(word, stdout=subprocess.PIPE, text=True) for word in words]
    told = [process.communicate(timeout=120)[0].split() for process in both]
    for pair in zip(*told, strict=True):
        assert sorted(pair) == ["opened", "refused"]
    for i, folder in enumerate(folders):
        seed = 1 if told[0][i] == "opened" else 2
        assert json.loads((tmp_path / folder / "sweep.json").read_text())["seed"] == seed


def sealed(body: bytes) -> bytes:
    """A file with a right seal on any content."""
    return b"genfun sweep 1 %d %s\n%s" % (len(body), hashlib.sha256(body).hexdigest().encode(), body)


FORGED = {
    "deep JSON": b"[" * 100_000,
    "no JSON": b"\x00\xff",
    "a list": b"[1, 2]",
    "no arrays": b'{"facts": {}}',
    "arrays in a list": b'{"facts": {}, "arrays": [1]}',
    "facts in a list": b'{"facts": [], "arrays": {}}',
    "a negative shape": b'{"facts": {}, "arrays": {"loss": [-1, 4]}}\n',
    "a shape beyond the file": b'{"facts": {}, "arrays": {"loss": [1000000000, 4]}}\n12345678',
    "a shape of words": b'{"facts": {}, "arrays": {"loss": ["2", 4]}}\n',
    "an endless shape": b'{"facts": {}, "arrays": {"loss": [1e400]}}\n',
    "too many numbers": b'{"facts": {}, "arrays": {"loss": [1]}}\n' + 16 * b"0",
    "other arrays": b'{"facts": {}, "arrays": {"profit": [1]}}\n' + 8 * b"0",
}


@pytest.mark.parametrize("body", FORGED.values(), ids=FORGED)
def test_forged_files_with_right_checksums_are_damaged_ones(tmp_path, body):
    store = open_store(tmp_path)
    store.path(SETTING).write_bytes(sealed(body))
    assert store.load(SETTING, (2, 4)) is None
    assert store.damaged[0].startswith(store.path(SETTING).name)
    right = (tmp_path / "data.bin").read_bytes()
    (tmp_path / "data.bin").write_bytes(sealed(body))
    assert open_store(tmp_path).damaged[0].startswith("data.bin: ")
    assert (tmp_path / "data.bin").read_bytes() == right


@pytest.mark.parametrize("raw", [b"[" * 100_000, b"[]", b"7", b'{"problem": null}', b"\xff"])
def test_forged_manifests_are_damaged_ones(tmp_path, raw):
    right = (open_store(tmp_path).folder / "sweep.json").read_bytes()
    (tmp_path / "sweep.json").write_bytes(raw)
    assert open_store(tmp_path).damaged == ["sweep.json: its checksum does not match"]
    assert (tmp_path / "sweep.json").read_bytes() == right


def test_a_first_line_with_a_number_beyond_measure_is_damaged():
    with pytest.raises(Damaged, match="first line"):
        decode(b"genfun sweep 1 " + b"9" * 5000 + b" " + 64 * b"0" + b"\n")
