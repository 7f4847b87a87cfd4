"""comptool split with several labels per row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from comptool.competition.config import of_table
from comptool.competition.samples import read_samples
from comptool.errors import InputError
from comptool.io import provenance
from comptool.splits.config import SplitOptions
from comptool.splits.splitting import samples_to_split, split_samples

CLASSES = ["bare soil/sand", "Ärger, roof", "sea", "tree"]


def read(path: str = "folds.csv") -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def criterion(matrix: np.ndarray, fold: np.ndarray) -> float:
    """The source's rule by plain means: spread over classes of the share differences."""
    return float(np.std(100 * (matrix[fold == -1].mean(axis=0) - matrix[fold == 0].mean(axis=0))))


def test_the_best_seed_is_refined_and_everything_is_told(comptool, cells, table):
    matrix = cells()
    table(matrix).to_csv("t.csv", index=False)
    result = comptool("split", "t.csv", "--val", "0.2", "--seeds", "5")
    assert (result.exit_code, result.stdout) == (0, "folds.csv\n")
    frame = read()
    assert frame.drop(columns="fold").equals(table(matrix))
    fold = frame["fold"].to_numpy(int)
    assert (fold == 0).sum() == pytest.approx(40, abs=2)
    positives = {name: int(n) for name, n in zip(CLASSES, matrix.sum(axis=0), strict=True)}
    found = provenance.recall(Path("folds.csv")).facts
    assert found["class_counts"] == positives
    assert found["zero_is_unknown"] is False
    reached = found["split"]["criterion"]
    assert reached == pytest.approx(criterion(matrix, fold), abs=1e-9)
    assert reached <= found["split"]["best"]["criterion"] <= found["split"]["worst"]["criterion"]
    assert "\niterative split, 5 seeds: class shares differ by " in result.stderr
    assert f"to {reached:.4f} percentage points\n" in result.stderr
    row = next(line for line in result.stderr.splitlines() if line.startswith("sea "))
    assert row.split()[1:] == [
        str(n) for n in (positives["sea"], *(matrix[fold == part, 2].sum() for part in (-1, 0)))
    ]


def test_the_published_rule_can_be_reproduced(comptool, cells, table):
    matrix = cells()
    table(matrix).to_csv("t.csv", index=False)
    told = json.loads(
        comptool(
            "split", "t.csv", "--val", "0.1", "--strategy", "random", "--seeds", "8",
            "--no-refine", "--json",
        ).stdout
    )  # fmt: skip
    scores = []
    for seed in range(8):
        order = np.random.RandomState(seed).permutation(200)
        fold = np.full(200, -1)
        fold[order[:20]] = 0
        scores.append(criterion(matrix, fold))
    assert (told["strategy"], told["seeds"], told["refined"]) == ("random", 8, None)
    assert told["best"] == {"seed": int(np.argmin(scores)), "criterion": pytest.approx(min(scores))}
    assert told["worst"]["criterion"] == pytest.approx(max(scores))


def test_folds_keep_groups_whole(comptool, cells, table):
    groups = [f"g{n // 4}" for n in range(200)]
    table(cells(), scene=groups).to_csv("t.csv", index=False)
    result = comptool("split", "t.csv", "--folds", "4", "--seeds", "3")
    assert result.exit_code == 0, result.stderr
    frame = read()
    assert set(frame["fold"]) == set("0123")
    assert frame.groupby("scene")["fold"].nunique().max() == 1
    assert "stratified 4 folds, grouped by scene\n" in result.stderr


@pytest.mark.parametrize("parts", [("--val", "0.3"), ("--folds", "3")])
def test_zeros_become_unknown_in_training_and_stay_in_validation(comptool, parts, cells, table):
    matrix = cells(60, unknown=0.1)
    table(matrix).to_csv("t.csv", index=False)
    result = comptool("split", "t.csv", *parts, "--map-zero-to-unknown")
    assert result.exit_code == 0, result.stderr
    assert "training treats 0 as not annotated; validation does not\n" in result.stderr
    samples = read_samples(Path("folds.csv"), of_table(Path("folds.csv")), labelled=True)
    np.testing.assert_array_equal(samples.label_matrix(), matrix)
    np.testing.assert_array_equal(samples.training_matrix(), np.where(matrix == 1, 1, -1))
    assert comptool("split", "t.csv", *parts, "--force").exit_code == 0
    samples = read_samples(Path("folds.csv"), of_table(Path("folds.csv")), labelled=True)
    np.testing.assert_array_equal(samples.training_matrix(), matrix)


def test_a_table_keeps_its_mapping_without_its_record_and_when_it_is_split_again(
    comptool, cells, table
):
    matrix = cells(60, unknown=0.1)
    table(matrix).to_csv("t.csv", index=False)
    assert comptool("split", "t.csv", "-o", "fz.csv", "--map-zero-to-unknown").exit_code == 0
    Path("fz.csv.meta.json").unlink()
    competition = of_table(Path("fz.csv"))
    assert competition.labels == tuple(CLASSES)
    samples = read_samples(Path("fz.csv"), competition, labelled=True)
    np.testing.assert_array_equal(samples.training_matrix(), np.where(matrix == 1, 1, -1))
    Path("c.csv").write_text("id,class,label\n003,sea,1\n004,sea,0\n")
    again = comptool("split", "fz.csv", "--from-column", "fold", "--corrections", "c.csv")
    assert again.exit_code == 0, again.stderr
    assert (
        "training treats 0 as not annotated (column 'zero_is_unknown' of fz.csv); "
        "validation does not\n"
    ) in again.stderr
    matrix[3:5, CLASSES.index("sea")] = 1, 0
    samples = read_samples(Path("folds.csv"), of_table(Path("folds.csv")), labelled=True)
    np.testing.assert_array_equal(samples.label_matrix(), matrix)
    np.testing.assert_array_equal(samples.training_matrix(), np.where(matrix == 1, 1, -1))
    assert set(read()["zero_is_unknown"]) == {"1"}


def test_a_table_that_says_two_things_of_its_zeros_or_lost_what_it_said_is_refused(
    comptool, cells, table
):
    table(cells(20)).to_csv("t.csv", index=False)
    assert comptool("split", "t.csv", "-o", "fz.csv", "--map-zero-to-unknown").exit_code == 0
    frame = read("fz.csv")

    def refused(changed: pd.DataFrame) -> str:
        changed.to_csv("fz.csv", index=False)
        with pytest.raises(InputError) as refusal:
            read_samples(Path("fz.csv"), of_table(Path("fz.csv")), labelled=True)
        return str(refusal.value)

    mixed = frame.assign(zero_is_unknown=["1"] * 7 + ["0"] * 13)
    assert refused(mixed).startswith(
        "fz.csv, row 8, column 'zero_is_unknown': the table has to say one thing of its 0: 1 (not "
        "annotated) or 0 (absent) in every row (found '1', '0')"
    )
    assert "(found 'yes')" in refused(frame.assign(zero_is_unknown="yes"))
    assert refused(frame.drop(columns="zero_is_unknown")).startswith(
        "fz.csv: 0 is not annotated according to its record, but the column 'zero_is_unknown' is "
        "missing"
    )


def test_a_given_split_of_several_labels_is_measured(comptool, cells, table):
    matrix = cells(40)
    table(matrix, part=["train", "val", "train", "test"] * 10).to_csv("t.csv", index=False)
    result = comptool("split", "t.csv", "--from-column", "part", "--map-zero-to-unknown", "--json")
    assert result.exit_code == 0, result.stderr
    kept = np.arange(40) % 4 != 3
    fold = np.where(np.arange(40) % 4 == 1, 0, -1)[kept]
    assert read()["fold"].to_numpy(int).tolist() == fold.tolist()
    told = json.loads(result.stdout)
    assert told["criterion"] == pytest.approx(criterion(matrix[kept], fold))
    counts = provenance.recall(Path("folds.csv")).facts["class_counts"]
    assert list(counts.values()) == matrix[kept].sum(axis=0).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(sea="2"), "row 1, column 'sea': a label is 1 (present), 0 (absent), "),
        (lambda f: f.assign(sea=["0"] * 19 + ["no"]), "row 20, column 'sea': a label is 1 (pres"),
        (lambda f: f.assign(scene=[""] + ["x"] * 19), "row 1, column 'scene': the group is blank"),
        (lambda f: f.assign(fold="0"), "the table has a column 'fold' already. Use it as it is"),
        (lambda f: f.assign(**dict.fromkeys(CLASSES, "0")), "no class is present in any row; th"),
        (lambda f: f.drop(columns="sea"), "no column is called 'sea' (found 'id', 'scene', "),
        (lambda f: f.rename(columns={"tree": "sea"}), "the header repeats a column (found 'sea')"),
    ],
)
def test_a_wrong_multilabel_table_is_refused(comptool, change, message, cells, table):
    names = json.dumps(CLASSES, ensure_ascii=False)
    Path("comptool.toml").write_text(
        f'task = "multilabel"\nmetric = "map"\n[data]\nid = "id"\nlabel = {names}\n'
        'group = "scene"\n[modalities]\nimage = "path"\n'
    )
    frame = table(cells(20), scene=[f"s{n}" for n in range(20)])
    change(frame).to_csv("t.csv", index=False)
    result = comptool("split", "t.csv")
    assert result.exit_code == 3, result.stderr
    told = result.stderr.splitlines()[-1].removeprefix("comptool split: t.csv")
    assert told.lstrip(",: ").startswith(message)
    assert not Path("folds.csv").exists()


def test_balancing_and_bad_seeds_of_several_labels_are_refused(comptool, cells, table):
    table(cells(20)).to_csv("t.csv", index=False)
    result = comptool("split", "t.csv", "--balance", "under")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "comptool split: --balance under is for one label per row; here a row has several. "
        "A loss can weight them instead: comptool train --loss distribution-balanced"
    )


def test_rows_and_classes_that_cannot_serve_are_named(comptool, cells, table):
    matrix = cells(30)
    matrix[:, 2:] = 0
    matrix[5, 2] = 1
    matrix[:, 0] = 1
    matrix[0], matrix[1] = -1, 0
    table(matrix).to_csv("t.csv", index=False)
    result = comptool("split", "t.csv")
    assert result.exit_code == 0, result.stderr
    assert (
        "warning: class 'tree': no positive row in the table: nothing can be learnt or measured\n"
        "warning: class 'sea': positive training rows only: never validated\n"
        "warning: 1 rows have no annotated cell: not used in training or scoring\n"
        "warning: 1 rows have no class that is present\n"
    ) in result.stderr


def free_groups(matrix: np.ndarray, groups: list[str]) -> int:
    """How many groups may be validated: those that hold all of some class are trained on."""
    holders = [{groups[row] for row in np.flatnonzero(column == 1)} for column in matrix.T]
    return len(set(groups) - set().union(*(some for some in holders if len(some) == 1)))


@settings(deadline=None, max_examples=25)
@example(8, 13, 0.0, SplitOptions(num_folds=3, num_seeds=2), True)
@given(
    st.integers(8, 50),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([SplitOptions(val=0.3, num_seeds=3), SplitOptions(num_folds=3, num_seeds=2)]),
    st.booleans(),
)
def test_a_split_keeps_rows_cells_and_groups(
    tmp_path_factory, cells, table, rows, seed, unknown, options, whole
):
    matrix = cells(rows, seed, unknown)
    matrix[:, 0] = np.arange(rows) % 2
    groups = [f"g{n // 2}" for n in range(rows)] if whole else [f"g{n}" for n in range(rows)]
    path = tmp_path_factory.mktemp("law") / "t.csv"
    table(matrix, scene=groups).to_csv(path, index=False)
    competition, samples = samples_to_split(path, None)
    assert competition.labels == tuple(CLASSES)
    free = free_groups(matrix, groups)
    if options.num_folds is not None and free < options.num_folds:
        with pytest.raises(
            InputError, match=f"^only {free} rows or groups can be validated, too few for 3 folds"
        ):
            split_samples(samples, options)
        return
    made = split_samples(samples, options)
    fold = made.frame["fold"].to_numpy()
    assert made.frame.drop(columns="fold").equals(samples.frame)
    assert set(fold) - {-1} == set(range(options.num_folds or 1))
    assert made.counts.iloc[:-1]["published"].tolist() == (matrix == 1).sum(axis=0).tolist()
    parts = made.counts.drop(columns="published")
    np.testing.assert_array_equal(parts.sum(axis=1), made.counts["published"])
    if samples.group:
        assert made.frame.groupby("scene")["fold"].nunique().max() == 1


def test_the_real_table_is_split_far_better_than_by_lot(comptool, real_data):
    path = real_data / "labels" / "mlrsnet_corrected.csv.gz"
    options = ("--val", "0.1", "--json")
    best = json.loads(comptool("split", path, *options).stdout)
    lot = json.loads(
        comptool("split", path, *options, "--strategy", "random", "--no-refine", "--force").stdout
    )
    assert best["criterion"] < lot["criterion"] / 20
    assert sum(row["published"] for row in best["classes"].values()) > 500_000
