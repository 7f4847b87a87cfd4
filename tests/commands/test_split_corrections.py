"""``comptool split --corrections`` of several labels: what a person found wrong."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from comptool.io import provenance


def read(path: str = "folds.csv") -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_corrections_are_applied_and_the_published_counts_are_those_before(comptool, cells, table):
    matrix = cells(50)
    matrix[3, 2], matrix[4, 2] = 0, 1
    table(matrix).to_csv("t.csv", index=False)
    Path("c.csv").write_text('id,class,label\n003,sea,1\n004,sea,1\n007,"Ärger, roof",-1\n')
    result = comptool("split", "t.csv", "--corrections", "c.csv")
    assert result.exit_code == 0, result.stderr
    assert "c.csv: corrections: 2 cells changed; 1 had the label already\n" in result.stderr
    frame = read().set_index("id")
    assert frame.loc["003", "sea"] == "1"
    assert frame.loc["007", "Ärger, roof"] == "-1"
    record = provenance.recall(Path("folds.csv"))
    assert record.facts["class_counts"]["sea"] == matrix[:, 2].sum()
    assert set(record.inputs) == {"t.csv", "c.csv"}


def test_joined_lists_are_split_and_corrected(comptool):
    lists = ["sea, tree", "golf course", "", "sea", "golf course, tree"] * 8
    lines = [f'{n},"{cell}"' for n, cell in enumerate(lists)]
    Path("t.csv").write_text("\n".join(["id,tags", *lines, ""]))
    Path("c.csv").write_text("id,class,label\n2,golf course,1\n0,sea,0\n1,sea,1\n3,sea,1\n")
    result = comptool("split", "t.csv", "--val", "0.25", "--corrections", "c.csv")
    assert result.exit_code == 0, result.stderr
    assert "corrections: 3 cells changed; 1 had the label already\n" in result.stderr
    tags = read()["tags"].tolist()
    assert tags[:4] == ["tree", "golf course, sea", "golf course", "sea"]
    assert tags[4:] == lists[4:]
    counts = {"golf course": 16, "sea": 16, "tree": 16}
    assert provenance.recall(Path("folds.csv")).facts["class_counts"] == counts
    Path("c.csv").write_text("id,class,label\n2,sea,\n")
    result = comptool("split", "t.csv", "--force", "--corrections", "c.csv")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1] == (
        "comptool split: c.csv, row 1, column 'label': a list of labels (column 'tags') cannot say "
        "that one is not known (found '')"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,class,label\n999,sea,1\n", "row 1, column 'id': there is no such id in the table (f"),
        ("id,class,label\n003,see,1\n", "row 1, column 'class': there is no such class in the ta"),
        ("id,class,label\n003,sea,2\n", "row 1, column 'label': is none of 1, 0, -1 and blank (f"),
        ("id,class\n003,sea\n", "no column is called 'label' (found 'id', 'class')"),
        (None, "there is no such file"),
    ],
)
def test_wrong_corrections_are_refused(comptool, text, message, cells, table):
    table(cells(20)).to_csv("t.csv", index=False)
    if text is not None:
        Path("c.csv").write_text(text)
    result = comptool("split", "t.csv", "--corrections", "c.csv")
    assert result.exit_code == 3
    told = result.stderr.splitlines()[-1].removeprefix("comptool split: c.csv")
    assert told.lstrip(",: ").startswith(message)
    assert not Path("folds.csv").exists()
