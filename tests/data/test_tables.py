"""Tables as people have them: categories, gaps, labels, any make; and hints where the data ask for an option."""

from __future__ import annotations

import gzip
import sys

import numpy as np
import pytest

from genfun.data import LinearData, load

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
N = 40
SIZE = RNG.uniform(1.0, 5.0, N)
KIND = RNG.choice(["flat", "house", "loft"], N)
GARDEN = RNG.random(N) < 0.5
PRICE = 100.0 + 20.0 * SIZE + 30.0 * (KIND == "house") + RNG.standard_normal(N)
HOMES = pd.DataFrame({"size": SIZE, "kind": KIND, "garden": GARDEN, "price": PRICE})
BY_HAND = np.column_stack([SIZE, *((kind == KIND) for kind in ("flat", "house", "loft")), GARDEN]).astype(float)


def same(data, X, y) -> None:
    expected = LinearData.from_features(X, y)
    np.testing.assert_allclose(data.eigenvalues, expected.eigenvalues, rtol=1e-10)
    np.testing.assert_allclose(data.signal, expected.signal, rtol=1e-8)
    assert data.noise_variance == pytest.approx(expected.noise_variance, rel=1e-8)


def test_each_text_becomes_a_column_and_a_boolean_is_0_or_1():
    same(load(HOMES, one_hot=True), BY_HAND, PRICE)


@pytest.mark.parametrize("kind", ["object", "string", "category"])
def test_text_of_any_dtype_is_one_hot(kind):
    same(load(HOMES.astype({"kind": kind}), target="price", one_hot=True), BY_HAND, PRICE)


def test_nullable_numbers_and_booleans_are_numbers():
    frame = pd.DataFrame({"a": pd.array([1, 2, 3, 5], "Int64"), "b": pd.array([True, False, True, True], "boolean")})
    frame["y"] = pd.array([1.0, 2.0, 0.5, 3.0], "Float64")
    X = np.array([[1.0, 1.0], [2.0, 0.0], [3.0, 1.0], [5.0, 1.0]])
    same(load(frame), X, [1.0, 2.0, 0.5, 3.0])
    same(LinearData.from_features(frame[["a", "b"]], frame["y"]), X, [1.0, 2.0, 0.5, 3.0])


def test_from_features_names_the_column_of_text_and_the_remedy():
    with pytest.raises(TypeError, match=r"column 'kind' .*load\(frame, one_hot=True\)"):
        LinearData.from_features(HOMES[["size", "kind"]], PRICE)
    gaps = HOMES[["size", "garden"]].assign(size=lambda f: f["size"].where(f["size"] > 2.0))
    with pytest.raises(ValueError, match=r"X\[\d+, 0\] is nan"):
        LinearData.from_features(gaps, PRICE)


def test_standardized_amounts_have_mean_0_and_deviation_1_and_indicators_stay():
    data = load(HOMES, one_hot=True, standardize=True, intercept=True)
    amounts = BY_HAND[:, [0, 4]]
    scaled = (amounts - amounts.mean(axis=0)) / amounts.std(axis=0)
    X = np.column_stack([np.ones(N), scaled[:, 0], BY_HAND[:, 1:4], scaled[:, 1]])
    same(data, X, PRICE)
    assert "2 columns have mean 0 and standard deviation 1" in " ".join(data.notes)


def test_a_constant_column_cannot_be_standardized_and_is_left_out():
    data = load(HOMES.assign(kind=3.7), target="price", standardize=True)
    same(data, (BY_HAND[:, [0, 4]] - BY_HAND[:, [0, 4]].mean(0)) / BY_HAND[:, [0, 4]].std(0), PRICE)
    assert "constant, left out: 'kind'" in data.notes
    assert "standardized: 1 column has mean 0" in " ".join(load(HOMES[["size", "price"]], standardize=True).notes)


@pytest.mark.parametrize("labels", [[0, 1, 2], ["a", "b", "c"], [True, False]])
def test_labels_of_any_kind_are_classes_when_asked(labels):
    drawn = RNG.integers(0, len(labels), N)
    frame = HOMES[["size", "garden"]].assign(label=[labels[i] for i in drawn])
    order = np.argsort(np.argsort(np.array(labels)))
    same(load(frame, classes=True), BY_HAND[:, [0, 4]], np.eye(len(labels))[order[drawn]])


def test_rows_with_gaps_are_left_out_only_when_asked():
    frame = HOMES.copy()
    frame.loc[3, "kind"] = None
    frame.loc[7, "price"] = np.nan
    with pytest.raises(ValueError, match=r"row 3, column 'kind' is missing; of 40 rows 2 .*drop_missing=True"):
        load(frame, one_hot=True)
    data = load(frame, one_hot=True, drop_missing=True)
    keep = np.delete(np.arange(N), [3, 7])
    same(data, BY_HAND[keep], PRICE[keep])
    assert data.notes[0] == "2 of 40 rows have missing values and were left out"


def test_a_gap_in_a_column_that_is_left_out_costs_no_row():
    frame = HOMES.copy()
    frame.loc[3, "kind"] = None
    assert load(frame, drop="kind").n_samples == N
    assert load(frame, drop=["kind", 2]).rank == 1


def test_several_targets_are_several_outputs():
    data = load(HOMES, target=["price", "garden"], drop="kind")
    same(data, SIZE[:, None], np.column_stack([PRICE, GARDEN]))
    same(load(HOMES, target=["price", "price", -1], drop=["kind", "kind"]), BY_HAND[:, [0, 4]], PRICE)


def test_an_output_that_is_constant_is_told_and_the_others_are_learned(tmp_path):
    data = load(HOMES.assign(fee=3), target=["price", "fee"], drop="kind")
    assert data.notes[0] == "the target 'fee' is 3 in every row: nothing of it can be learned but an intercept"
    assert "columns of 'price, fee' do not have mean 0" in " ".join(data.notes)
    assert not any("every row" in note for note in load(HOMES, target=["price", "size"], drop="kind").notes)
    np.savez(tmp_path / "same.npz", X=BY_HAND, y=np.full(N, -2))
    assert load(tmp_path / "same.npz").notes[0].startswith("the target 'y' is -2 in every row")
    assert load(HOMES.iloc[:1], drop="kind").n_samples == 1  # of one row nothing is said


@pytest.mark.parametrize("header", [True, False])
def test_decimal_commas_between_semicolons_are_numbers_and_told(tmp_path, header):
    path = tmp_path / "homes.csv"
    frame = HOMES.drop(columns=["kind", "garden"]).assign(size=SIZE)
    frame.to_csv(path, index=False, sep=";", decimal=",", header=header)
    data = load(path)
    same(data, SIZE[:, None], PRICE)
    assert data.notes[0] == "numbers have decimal commas: 1,5 was read as 1.5"
    frame.to_csv(path, index=False, sep=";", header=header)
    same(load(path), SIZE[:, None], PRICE)
    assert not any("commas" in note for note in load(path).notes)
    assert header or load(path).notes[0].startswith("the last column, 1, is the target")


def test_thousands_with_commas_are_not_taken_for_fractions(tmp_path):
    path = tmp_path / "homes.tsv"
    path.write_text("size\tprice\n" + "".join(f"{i}\t{1000 + i:,}\n" for i in range(9)))
    with pytest.raises(ValueError, match=r"'price' holds text, '1,000', .*write amounts as plain numbers"):
        load(path)


def written(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")
    return path


@pytest.mark.parametrize("name", ["homes.csv", "homes.csv.gz", "homes.tsv", "homes.tsv.gz", "homes.parquet"])
def test_files_of_any_kind_hold_the_same_table(tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    same(load(written(HOMES, tmp_path / name), one_hot=True), BY_HAND, PRICE)


def test_an_array_and_a_sparse_matrix_are_tables_too(tmp_path):
    from scipy import sparse

    whole = np.column_stack([BY_HAND, PRICE])
    np.save(tmp_path / "homes.npy", whole)
    sparse.save_npz(tmp_path / "homes.npz", sparse.csr_array(whole))
    np.savez(tmp_path / "plain.npz", X=BY_HAND, y=PRICE)
    for name in ("homes.npy", "homes.npz", "plain.npz"):
        same(load(tmp_path / name), BY_HAND, PRICE)
        scaled = (BY_HAND - BY_HAND.mean(0)) / BY_HAND.std(0)
        same(load(tmp_path / name, standardize=True, intercept=True), np.column_stack([np.ones(N), scaled]), PRICE)
    for name in ("homes.npy", "homes.npz"):
        same(load(tmp_path / name, target=0), whole[:, 1:], SIZE)
    with pytest.raises(ValueError, match="drop is about columns"):
        load(tmp_path / "homes.npz", drop=1)


def test_frames_of_polars_are_tables():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({name: HOMES[name].to_list() for name in HOMES})
    same(load(frame, one_hot=True), BY_HAND, PRICE)
    gaps = frame.with_columns(pl.when(pl.col("size") > 2.0).then(pl.col("size")))
    assert load(gaps, one_hot=True, drop_missing=True).n_samples == int((SIZE > 2.0).sum())


def test_packed_text_that_fills_memories_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb") as stream:
        for _ in range(40):
            stream.write(b"0,0\n" * (1 << 18))
    with pytest.raises(ValueError, match="times its size"):
        load(path)


REFUSED = [
    (HOMES, {}, "row 0: column 'kind' holds text, .*one_hot=True"),
    (
        HOMES.assign(name=[f"name {i}" for i in range(N)], side=KIND)[["kind", "name", "side", "size"]],
        {},
        r"needs 2 things: text in 'kind', 'side': one_hot=True .*in 'name' \(40 different texts\): drop= .*"
        r"all at once: load\(..., one_hot=True, drop=\['name'\]\)$",
    ),
    (HOMES.assign(side=KIND), {"target": "price"}, "column 'kind' holds text, .*; text too: 'side'$"),
    (HOMES, {"target": "kind"}, "column 'kind' holds text, .*classes=True"),
    (HOMES, {"target": "prise"}, "did you mean 'price'"),
    (HOMES, {"target": "price", "drop": "price"}, "drop has 'price', which is the target"),
    (HOMES, {"drop": ["size", "kind", "garden"]}, "drop leaves no feature"),
    (HOMES, {"drop": "kind", "classes": True}, "column 'price': classes needs labels, and the target has fractions"),
    (HOMES.assign(price=1), {"drop": "kind", "classes": True}, "needs 2 to 100 different labels, got 1"),
    (HOMES.assign(kind=[f"name {i}" for i in range(N)]), {"one_hot": True}, "has 40 different ones in 40 rows"),
    (
        HOMES.assign(price=[f"${1000 + i:,}" for i in range(N)]),
        {"drop": "kind"},
        "'[$]1,000'.*; write amounts as plain",
    ),
    (HOMES.assign(kind=pd.Timestamp("2020-01-01")), {"one_hot": True}, "holds dates or times"),
]


@pytest.mark.parametrize(("frame", "choices", "message"), REFUSED)
def test_what_is_no_number_is_refused_with_the_option_that_helps(frame, choices, message):
    with pytest.raises(ValueError, match=message):
        load(frame, **choices)


def hints(frame, **choices) -> str:
    return " | ".join(load(frame, **choices).notes)


def test_hints_come_where_the_data_ask_for_them_and_only_there():
    X = RNG.standard_normal((N, 3))
    plain = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": X @ [1.0, -1.0, 0.3]})
    assert load(plain).notes == ("the last column, 'y', is the target; target= chooses another",)
    assert load(plain, target="y").notes == ()
    told = hints(plain.assign(b=1e3 * plain.b))
    assert "columns differ" in told
    assert "from 'a' to 'b'" in told
    assert "columns differ" not in hints(plain.assign(b=1e3 * plain.b), standardize=True)
    kinds = plain.assign(a=100.0 + plain.a, kind=np.where(np.arange(N) < 2, "rare", "usual"))[["a", "kind", "y"]]
    assert "from 'kind=rare' to 'a'" in hints(kinds, one_hot=True)
    assert "columns differ" not in hints(kinds.assign(a=plain.a), one_hot=True)
    assert "'a' is constant" in hints(plain.assign(a=2.0, y=plain.y + 1))
    assert "columns 'a', 'b' are constant" in hints(plain.assign(a=2.0, b=3.0, y=plain.y + 1))
    assert "'a' counts the rows" in hints(plain.assign(a=np.arange(N)))
    assert "'a' counts the rows" in hints(plain.assign(a=1 + np.arange(N)))
    many = pd.concat([plain] * 2, ignore_index=True)
    assert "3 different whole values" in hints(many.assign(y=np.arange(2 * N) % 3))
    assert "whole values" not in hints(many.assign(y=np.arange(2 * N) % 2))


def test_the_hint_of_an_intercept_has_the_least_losses_without_and_with_it():
    frame = HOMES.drop(columns="kind").assign(size=SIZE - SIZE.mean())
    bare, better = load(frame), load(frame, intercept=True)
    told = " ".join(bare.notes)
    assert f"the least loss is {better.noise_variance / 2:.4g} instead of {bare.noise_variance / 2:.4g}" in told
    assert "intercept:" not in " ".join(better.notes)


def test_without_pandas_the_error_names_the_extra(tmp_path, monkeypatch):
    path = written(HOMES, tmp_path / "homes.csv")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'genfun\[tables\]'"):
        load(path)
