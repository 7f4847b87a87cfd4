"""Prediction files as CSV, Parquet and arrays: what is written comes back, and says the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.errors import InputError
from comptool.io import provenance
from comptool.io.predictions import SUFFIXES, Predictions, read_predictions, write_parts
from comptool.io.predictions import write_predictions as write

AWKWARD = ["007", "1e5", "NA", "nan", "null", "1.0", "a,b", 'q"q', "two\nlines", "Straße 東", " x "]
# No file name and no cell has half a character or a NUL.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
ids = st.lists(st.sampled_from(AWKWARD) | texts, min_size=1, max_size=6, unique=True)
classes = st.lists(
    texts.filter(lambda name: name.strip() and not {"\n", "\r"} & set(name)),
    min_size=2,
    max_size=5,
    unique=True,
).filter(lambda names: not {"id", "pred", "fold", "zero_is_unknown"} & set(names))


@st.composite
def predictions(draw) -> Predictions:
    """Predictions of one class per image, with and without folds and decisions."""
    names, of = draw(ids), draw(classes)
    p = np.random.default_rng(draw(st.integers(0, 99))).dirichlet(np.ones(len(of)), len(names))
    return Predictions(
        np.array(names, dtype=object),
        tuple(of),
        p.astype(draw(st.sampled_from([np.float32, np.float64]))),
        pred=np.array([of[0]] * len(names), dtype=object) if draw(st.booleans()) else None,
        fold=np.arange(len(names)) - 1 if draw(st.booleans()) else None,
    )


def told(found: Predictions) -> tuple[object, ...]:
    """All but the numbers."""
    optional = (found.pred, found.fold)
    columns = (None if column is None else column.tolist() for column in optional)
    return (found.id_column, found.ids.tolist(), found.classes, *columns)


@settings(max_examples=80, deadline=None)
@given(predictions(), st.sampled_from((*SUFFIXES, ".csv.gz")))
def test_predictions_read_back_to_the_last_bit(tmp_path_factory, written, suffix):
    path = tmp_path_factory.mktemp("p") / f"p{suffix}"
    write(path, written)
    back = read_predictions(path)
    assert told(back) == told(written)
    number = written.probabilities.dtype
    assert back.probabilities.astype(number).tobytes() == written.probabilities.tobytes()


@settings(max_examples=30, deadline=None)
@given(predictions(), st.sampled_from(SUFFIXES), st.integers(0, 6))
def test_rows_that_come_in_parts_make_the_same_file(tmp_path_factory, whole, suffix, cut):
    folder = tmp_path_factory.mktemp("p")
    write(folder / f"whole{suffix}", whole)
    rows = np.arange(len(whole))
    parts = [whole.take(piece) for piece in (rows[:cut], rows[cut:]) if len(piece)]
    write_parts(folder / f"parts{suffix}", parts)
    first, second = (read_predictions(folder / f"{name}{suffix}") for name in ("whole", "parts"))
    assert told(first) == told(second)
    assert np.array_equal(first.probabilities, second.probabilities)


def small() -> Predictions:
    p = np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float32)
    return Predictions(np.array(["007", "x"], dtype=object), ("a", "b"), p)


def test_numpy_loads_the_probabilities_and_then_what_they_are_of(tmp_path):
    path = tmp_path / "p.npy"
    write(path, small())
    assert np.load(path).dtype == np.float32
    assert np.load(path, mmap_mode="r").tolist() == [[0.25, 0.75], [0.5, 0.5]]
    with path.open("rb") as stream:
        arrays = [np.load(stream).tolist() for _ in range(5)]
    assert arrays == [[[0.25, 0.75], [0.5, 0.5]], ["id", "a", "b"], ["007", "x"], [], []]


NUMBERS = np.full((2, 2), 0.5, dtype=np.float32)
ALONE = "says neither of which images nor of which classes its numbers are. Bring them as .csv or"
WRONG = "its arrays are not those of predictions (found "


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([NUMBERS], ALONE),
        ([NUMBERS, ["id", "a", "b"]], "is no .npy file of predictions (EOF: reading magic string"),
        ([NUMBERS, ["id", "a"], ["1", "2"], [0, 1], [""]], WRONG),
        ([NUMBERS, ["id", "a", "b"], ["1"], [0, 1], [""]], WRONG),
        ([NUMBERS, ["id", "a", "b"], ["1", "2"], [0], ["a", "b"]], WRONG),
        ([NUMBERS, ["id", "a", "b"], [1, 2], [0, 1], ["a", "b"]], WRONG),
        ([NUMBERS.astype(int), ["id", "a", "b"], ["1", "2"], [0, 1], ["a", "b"]], WRONG),
        ([NUMBERS[0], ["id", "a", "b"], ["1", "2"], [0, 1], ["a", "b"]], WRONG),
        ([NUMBERS, ["id", "a", "a"], ["1", "2"], [0, 1], ["a", "b"]], "the header repeats a col"),
        ([NUMBERS, ["id", "a", "b"], ["1", "1"], [0, 1], ["a", "b"]], "duplicate id"),
        ([NUMBERS[:, :0], ["id"], ["1", "1"], [0, 1], ["a", "b"]], "has no probability column"),
        ([NUMBERS[:0], ["id", "a", "b"], np.array([], str), np.array([], int), np.array([], str)],
         "has a header and no rows"),
        ([NUMBERS * 9, ["id", "a", "b"], ["1", "2"], [0, 1], ["a", "b"]], "is not a probability"),
        ([np.array([[None]])], "is no .npy file of predictions (Object arrays cannot be loaded"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_predictions_are_refused(tmp_path, arrays, message):
    path = tmp_path / "p.npy"
    with path.open("wb") as stream:
        for array in arrays:
            np.save(stream, np.asarray(array))
    with pytest.raises(InputError) as error:
        read_predictions(path)
    assert message in str(error.value)


def test_a_cut_off_or_strange_npy_file_is_refused(tmp_path):
    path = tmp_path / "p.npy"
    write(path, small())
    whole = path.read_bytes()
    unclosed = whole.replace(b")", b" ", 1)
    for content in (whole[:-9], whole[:100], whole + b"x", unclosed, b"id,a,b\n1,0.5,0.5\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"p\.npy: is no \.npy file of predictions"):
            read_predictions(path)


TOML = """task = "multiclass"
[data]
test = "test.csv"
sample-submission = "sample.csv"
id = "id"
label = "y"
[modalities]
rgb = "path"
"""


def chain(comptool, suffix: str) -> str:
    """The submission that an ensemble and a recalibration of files of one kind lead to."""
    names = [f"{number:03}" for number in range(40)]
    for member in range(2):
        p = np.random.default_rng(member).dirichlet(np.ones(3), len(names)).astype(np.float32)
        path = Path(f"m{member}{suffix}")
        write(path, Predictions(np.array(names, dtype=object), ("a", "b", "c"), p))
        facts = {"task": "multiclass", "classes": ["a", "b", "c"]}
        provenance.record(path, command="infer", arguments={}, facts=facts)
    for arguments in (
        ("ensemble", f"m0{suffix}", f"m1{suffix}", "-o", f"e{suffix}"),
        ("recalibrate", f"e{suffix}", "-o", f"r{suffix}", "--head-classes", "a"),
        ("submit", f"r{suffix}", "-o", f"submission{suffix}.csv"),
    ):
        result = comptool(*arguments)
        assert result.exit_code == 0, result.stderr
    return Path(f"submission{suffix}.csv").read_text()


def test_the_chain_gives_the_same_submission_from_every_kind_of_file(comptool):
    Path("comptool.toml").write_text(TOML)
    rows = "".join(f"{number:03},a\n" for number in range(40))
    Path("sample.csv").write_text("id,y\n" + rows)
    Path("test.csv").write_text("id,path\n" + rows)
    first, *others = [chain(comptool, suffix) for suffix in SUFFIXES]
    assert len(first.splitlines()) == 41
    assert others == [first, first]
    assert json.loads(Path("r.npy.meta.json").read_text())["inputs"].keys() == {"e.npy"}


def test_members_of_different_kinds_are_refused_for_the_same_reasons(comptool):
    write(Path("m.csv"), small())
    write(Path("m.npy"), small())
    assert comptool("ensemble", "m.csv", "m.npy", "-o", "e.parquet").exit_code == 0
    other = Predictions(np.array(["007", "y"], dtype=object), ("a", "b"), NUMBERS)
    write(Path("ids.npy"), other)
    write(Path("order.npy"), Predictions(small().ids, ("b", "a"), NUMBERS))
    for name, message in (
        ("ids.npy", "ids.npy: 1 ids are not in m.csv (found 'y')"),
        ("order.npy", "order.npy: has its classes in another order than m.csv (a, b)"),
    ):
        result = comptool("ensemble", "m.csv", name, "-o", "f.csv")
        assert (result.exit_code, message in result.stderr) == (3, True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_is_told_to_be_full_wherever_in_the_file_that_happens(tmp_path, file_limit, suffix):
    path = tmp_path / f"p{suffix}"
    table = np.random.default_rng(0).dirichlet(np.ones(60), 300).astype(np.float32)
    ids = np.array([str(row) for row in range(300)], dtype=object)
    wide = Predictions(ids, tuple(f"c{number}" for number in range(60)), table)
    write(path, wide)
    size = path.stat().st_size
    for limit in (0, size // 2, *range(size * 3 // 4, size, size // 16), size - 1):
        with (
            file_limit(limit),
            pytest.raises(InputError, match=r"could not be written .* nothing was changed"),
        ):
            write(tmp_path / f"q{suffix}", wide)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
