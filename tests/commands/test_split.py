"""comptool split, from a table to folds.csv."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from comptool.competition.config import load
from comptool.competition.samples import read_samples
from comptool.io import provenance


def write_table(path: Path, labels: str, groups: str = "") -> None:
    rows = [f"{n},{label}" for n, label in enumerate(labels)]
    if groups:
        rows = [f"{row},{group}" for row, group in zip(rows, groups, strict=True)]
    header = "id,label,scene" if groups else "id,label"
    path.write_text("\n".join([header, *rows, ""]))


def read(path: str = "folds.csv") -> pd.DataFrame:
    return pd.read_csv(path, dtype={"id": str, "label": str})


def counts(frame: pd.DataFrame) -> dict[tuple[str, int], int]:
    return frame.groupby(["label", "fold"]).size().to_dict()


def test_a_hold_out_is_fold_0_and_its_record_tells_the_rest(comptool, tmp_path):
    (tmp_path / "tables").mkdir()
    write_table(tmp_path / "tables" / "t.csv", "a" * 10 + "b" * 24)
    result = comptool("split", "tables/t.csv")
    assert (result.exit_code, result.stdout) == (0, "folds.csv\n")
    frame = read()
    assert list(frame.columns) == ["id", "label", "fold"]
    assert frame["id"].tolist() == [str(n) for n in range(34)]
    assert counts(frame) == {("a", -1): 8, ("a", 0): 2, ("b", -1): 20, ("b", 0): 4}
    assert provenance.recall(Path("folds.csv")).facts == {
        "folder": "tables",
        "class_counts": {"a": 10, "b": 24},
        "seed": 0,
        "strategy": "stratified hold-out of 0.2",
    }
    # 2/6 - 8/28 of the rows are a.
    assert "worst deviation of a class's share: 4.76 percentage points\n" in result.stderr
    assert result.stderr.splitlines()[-5:-1] == [
        "     published  training  validation",
        "a           10         8           2",
        "b           24        20           4",
        "all         34        28           6",
    ]


def test_balancing_leaves_rows_out_and_remembers_the_published_counts(comptool, tmp_path):
    write_table(tmp_path / "t.csv", "a" * 30 + "b" * 12 + "c" * 11)
    assert comptool("split", "t.csv", "--balance", "under", "--cap", "10").exit_code == 0
    assert counts(read()) == {(name, fold): n for name in "abc" for fold, n in ((-1, 8), (0, 2))}
    assert provenance.recall(Path("folds.csv")).facts["class_counts"] == {"a": 30, "b": 12, "c": 11}


def test_groups_stay_whole(comptool, tmp_path):
    write_table(tmp_path / "t.csv", "ab" * 40, "".join(c * 4 for c in "abcdefghijklmnopqrst"))
    assert comptool("split", "t.csv", "--folds", "4", "-o", "g.csv").exit_code == 0
    frame = read("g.csv")
    assert set(frame["fold"]) == {0, 1, 2, 3}
    assert frame.groupby("scene")["fold"].nunique().max() == 1


def test_split_reads_a_download_of_folders(comptool, tmp_path):
    for n in range(20):
        for sensor in ("SAR", "EO"):
            path = tmp_path / "data" / "train" / str(n % 2) / f"{sensor}_{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert comptool("split", "--folds", "2", "-q").stderr == ""
    frame = read()
    assert list(frame.columns) == ["id", "sar_path", "eo_path", "label", "fold"]
    found = read_samples(Path("folds.csv"), load(), labelled=True)
    assert all((found.folder / path).exists() for path in found.frame["eo_path"])


def test_one_seed_makes_one_file(comptool, tmp_path):
    write_table(tmp_path / "t.csv", "ab" * 20)
    for seed, output in ((1, "x.csv"), (1, "y.csv"), (2, "z.csv")):
        comptool("split", "t.csv", "--seed", seed, "-o", output)
    assert Path("x.csv").read_bytes() == Path("y.csv").read_bytes() != Path("z.csv").read_bytes()


def test_a_class_of_one_and_a_small_class_are_named(comptool, tmp_path):
    write_table(tmp_path / "t.csv", "a" * 12 + "b" * 2 + "c")
    result = comptool("split", "t.csv", "--folds", "3")
    assert result.exit_code == 0
    assert (
        "warning: class 'c' has only one sample: always trained on, never validated\n"
        "warning: class 'b' has fewer samples than the 3 folds: some lack it\n"
    ) in result.stderr
    assert counts(read())[("c", -1)] == 1


def test_ids_survive_from_parquet_to_parquet(comptool):
    ids = ["007", "1e5", "NA", "ü,ä"]
    pl.DataFrame({"id": ids, "label": list("aabb")}).write_parquet("t.parquet")
    assert comptool("split", "t.parquet", "--val", "0.5", "-o", "f.parquet").exit_code == 0
    assert pl.read_parquet("f.parquet")["id"].to_list() == ids
    assert comptool("split", "t.parquet", "--val", "0.5").exit_code == 0
    assert Path("folds.csv").read_text(encoding="utf-8").splitlines()[-1].startswith('"ü,ä",b,')


def test_json_on_stdout_and_nothing_written_by_a_dry_run(comptool, tmp_path):
    write_table(tmp_path / "t.csv", "aabb")
    dry = comptool("split", "t.csv", "--val", "0.5", "--dry-run")
    assert (dry.exit_code, dry.stdout) == (0, "")
    assert dry.stderr.endswith("would write folds.csv\n")
    assert not Path("folds.csv").exists()
    told = json.loads(comptool("split", "t.csv", "--val", "0.5", "--json").stdout)
    assert told == {
        "output": "folds.csv",
        "rows": 4,
        "strategy": "stratified hold-out of 0.5",
        "classes": {
            "a": {"published": 2, "training": 1, "validation": 1},
            "b": {"published": 2, "training": 1, "validation": 1},
        },
        "deviation": 0.0,
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--val", ".1", "--folds", "4"], "--val and --folds contradict one another; give one"),
        (["--val", "1"], "--val is 1.0; it has to be above 0 and below 1"),
        (["--folds", "1"], "--folds is 1; it has to be 2 or more"),
        (["--cap", "9"], "--cap limits under-sampling; give --balance under with it"),
        (["--cap", "1", "--balance", "under"], "--cap is 1; it has to be 2 or more"),
        (["--seeds", "0"], "--seeds is 0; it has to be 1 or more"),
        (["--strategy", "iteratif"], "no split strategy is called 'iteratif'; did you mean 'iter"),
        (["--from-column", "s", "--val", ".1"], "--from-column uses a split as it is; --val does"),
        (["--from-column", "s", "--folds", "3"], "--from-column uses a split as it is; --folds"),
        (["--from-column", "s", "--seeds", "3"], "--from-column uses a split as it is; --seeds"),
    ],
)
def test_contradicting_options_are_refused_before_anything_is_read(comptool, arguments, message):
    result = comptool("split", "gone.csv", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"comptool split: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "t.csv: there is no such file"),
        ("", "t.csv: is empty (0 bytes)"),
        ("id,label\n", "t.csv: has a header and no rows"),
        ("id,label\n1,a\n2,a\n", "t.csv, column 'label': all rows have the same label; there is"),
        ("id,label\n1,a\n2,b\n", "t.csv: every class has one sample, or one group, alone; "),
        ("id,label\n1,a\n2,\n3,b\n", "t.csv, row 2, column 'label': the label is blank"),
        ("id,label,fold\n1,a,0\n2,b,0\n", "t.csv: the table has a column 'fold' already. Use it"),
        (
            "id,label,scene\n1,a,p\n2,b,p\n3,a,q\n4,b,q\n5,a,r\n6,b,\n",
            "t.csv, row 6, column 'scene': the group is",
        ),
        (
            "label,y\na,b\na,c\nd,b\n",
            "t.csv: no column has a different value in every row; which one is",
        ),
    ],
)
def test_a_wrong_table_is_refused(comptool, text, message):
    if text is not None:
        Path("t.csv").write_text(text)
    result = comptool("split", "t.csv")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1].startswith(f"comptool split: {message}")
    assert not Path("folds.csv").exists()


def test_folds_are_not_replaced_unasked(comptool, tmp_path):
    write_table(tmp_path / "t.csv", "aabb")
    Path("folds.csv").write_text("mine")
    result = comptool("split", "t.csv")
    assert result.exit_code == 3
    assert result.stderr == "comptool split: folds.csv: exists already. Replace it with --force\n"
    assert Path("folds.csv").read_text() == "mine"
    assert comptool("split", "t.csv", "--force").exit_code == 0
    assert len(read()) == 4


def test_mavoc_under_sampled(comptool, real_data):
    table = real_data / "labels" / "mavoc2021.csv.gz"
    assert comptool("split", table, "--balance", "under", "--val", "0.2").exit_code == 0
    frame = read()
    assert counts(frame) == {
        (str(name), fold): n for name in range(10) for fold, n in ((-1, 500), (0, 124))
    }
    assert list(provenance.recall(Path("folds.csv")).facts["class_counts"].values()) == [
        234209, 28089, 15301, 10655, 1741, 852, 828, 624, 840, 633,
    ]  # fmt: skip


def test_eurosat_in_folds(comptool, real_data):
    comptool("init", real_data / "eurosat")
    assert comptool("split", "--folds", "5").exit_code == 0
    frame = read()
    assert frame.groupby(["label", "fold"]).size().unique().tolist() == [160]
    assert provenance.recall(Path("folds.csv")).facts["class_counts"]["River"] == 800
