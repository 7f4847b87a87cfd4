"""comptool split, with what comptool inspect has found."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.competition import schema
from comptool.competition.config import of_table
from comptool.competition.findings import COLUMNS, CONSTANT, DUPLICATE, LABEL_RUN, made
from comptool.competition.samples import read_samples
from comptool.io import provenance
from comptool.splits.splitting import families, findings_about, kept_together, samples_to_split

PAIR = {"column": "path", "other_table": "train", "other_column": "path", "score": 1.0}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in schema.VARIABLES:
        monkeypatch.delenv(name, raising=False)


def write_table(rows: int = 24, scene: bool = False) -> None:
    more = [f",g{n // 2}" if scene else "" for n in range(rows)]
    lines = [f"r{n},{'ab'[n % 2]}{more[n]}" for n in range(rows)]
    Path("t.csv").write_text("\n".join([f"id,label{',scene' if scene else ''}", *lines, ""]))


def write_findings(*found: pd.DataFrame) -> None:
    pd.concat([made(DUPLICATE, "train", []), *found]).to_csv("f.csv", index=False)


def pairs(*copies: tuple[str, str]) -> pd.DataFrame:
    ids = [one for one, _ in copies]
    return made(DUPLICATE, "train", ids, **{**PAIR, "other_id": [other for _, other in copies]})


def folds() -> pd.DataFrame:
    return pd.read_csv("folds.csv").set_index("id")


def test_copies_are_validated_together_and_the_record_names_the_findings(comptool):
    write_table()
    write_findings(pairs(("r1", "r0"), ("r5", "r1"), ("r9", "r8")))
    result = comptool("split", "t.csv", "--findings", "f.csv", "--folds", "4")
    assert result.exit_code == 0, result.stderr
    assert "\nf.csv: pairs of copies kept together: 3\n" in result.stderr
    made_of = folds()
    assert made_of.loc[["r0", "r1", "r5"], "fold"].nunique() == 1
    assert made_of.loc[["r8", "r9"], "fold"].nunique() == 1
    assert made_of["duplicate_group"].loc[["r5", "r9", "r2"]].tolist() == ["r0", "r8", "r2"]
    record = provenance.recall(Path("folds.csv"))
    assert set(record.inputs) == {"t.csv", "f.csv"}
    assert record.facts["strategy"] == "stratified 4 folds, grouped by duplicate_group"


def test_groups_that_share_a_copy_become_one(comptool):
    write_table(scene=True)
    write_findings(pairs(("r2", "r1")))
    assert comptool("split", "t.csv", "--findings", "f.csv", "--folds", "3").exit_code == 0
    assert folds()["duplicate_group"].loc[["r0", "r1", "r2", "r3", "r4"]].tolist() == [
        "r0", "r0", "r0", "r0", "r4"
    ]  # fmt: skip
    assert folds().loc[["r0", "r1", "r2", "r3"], "fold"].nunique() == 1


def test_rows_of_a_kind_are_left_out_and_counted_as_published(comptool):
    write_table()
    one = made("unreadable", "train", ["r2", "r4"], column="path")
    write_findings(one, made("unreadable", "test", ["r6"]), made("missing", "train", ["r8"]))
    result = comptool("split", "t.csv", "--findings", "f.csv", "--exclude", "unreadable")
    assert result.exit_code == 0, result.stderr
    assert "\nf.csv: rows left out (unreadable): 2\n" in result.stderr
    assert set(folds().index) == {f"r{n}" for n in range(24)} - {"r2", "r4"}
    assert "duplicate_group" not in folds()
    assert provenance.recall(Path("folds.csv")).facts["class_counts"] == {"a": 12, "b": 12}


def test_of_copies_one_stays(comptool):
    write_table()
    write_findings(pairs(("r2", "r0"), ("r4", "r0")))
    arguments = ["--findings", "f.csv", "--exclude", "duplicate"]
    assert comptool("split", "t.csv", *arguments).exit_code == 0
    assert set(folds().index) == {f"r{n}" for n in range(24)} - {"r2", "r4"}


def test_copies_stay_together_when_what_joined_them_is_left_out(comptool):
    write_table()
    broken = made("label-count", "train", ["r0", "r8"])
    write_findings(broken, pairs(*((f"r{n}", "r0") for n in (2, 4, 6)), ("r9", "r8")))
    arguments = ["--findings", "f.csv", "--exclude", "label-count", "--folds", "4"]
    result = comptool("split", "t.csv", *arguments)
    assert result.exit_code == 0, result.stderr
    assert folds().index.intersection(["r0", "r8"]).empty
    assert folds().loc[["r2", "r4", "r6"], "fold"].nunique() == 1


def test_constant_images_tie_nothing(comptool):
    write_table()
    constant = made(CONSTANT, "train", ["r0", "r3"], column="path", value="0")
    write_findings(constant, pairs(("r3", "r0")))
    result = comptool("split", "t.csv", "--findings", "f.csv")
    assert "\nf.csv: pairs of copies kept together: 0\n" in result.stderr
    assert "duplicate_group" not in folds()


def test_a_given_split_that_parts_copies_is_told(comptool):
    lines = [f"r{n},{'ab'[n % 2]},{'train' if n < 8 else 'val'}" for n in range(12)]
    Path("t.csv").write_text("\n".join(["id,label,split", *lines, ""]))
    write_findings(pairs(("r9", "r1"), ("r3", "r2")))
    result = comptool("split", "t.csv", "--findings", "f.csv", "--from-column", "split")
    assert result.exit_code == 0, result.stderr
    assert "warning: the given split divides 1 groups ('r1')" in result.stderr


@pytest.fixture
def several_labels():
    """Forty rows of four labels, in columns whose order is not that of the sample submission."""
    cells = [f"{n % 2},{n // 2 % 2},{n // 3 % 2},{n // 5 % 2}" for n in range(40)]
    lines = [f"r{n},{row}" for n, row in enumerate(cells)]
    Path("t.csv").write_text("\n".join(["id,d,b,c,a", *lines, ""]))


RUN = made(LABEL_RUN, "train", ["r3", "r7"], column="b", other_column="a", value=3)


def test_doubtful_cells_are_masked_but_for_those_that_a_person_corrected(comptool, several_labels):
    write_findings(RUN)
    Path("c.csv").write_text("id,class,label\nr7,c,0\n")
    arguments = ["--findings", "f.csv", "--mask", "label-run", "--corrections", "c.csv"]
    result = comptool("split", "t.csv", *arguments)
    assert result.exit_code == 0, result.stderr
    before = pd.read_csv("t.csv").set_index("id")
    after = folds()[["d", "b", "c", "a"]]
    assert after.loc["r3"].tolist() == [before.loc["r3", "d"], -1, -1, -1]
    assert after.loc["r7"].tolist() == [before.loc["r7", "d"], -1, 0, -1]
    others = [name for name in before.index if name not in ("r3", "r7")]
    assert after.loc[others].equals(before.loc[others])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--exclude", "missing"], 2, "--exclude needs findings; give --findings findings.csv"),
        (
            ["--findings", "f.csv", "--exclude", "lost-label"],
            2,
            "no finding for --exclude is called 'lost-label'; did you mean 'no-label'",
        ),
        (
            ["--findings", "f.csv", "--mask", "label-count"],
            2,
            "no finding for --mask is called 'label-count'; did you mean 'label-",
        ),
        (
            ["--findings", "f.csv", "--exclude", "label-run"],
            3,
            "f.csv: 1 of its findings are about samples that t.csv lacks (found 'z'). Look at",
        ),
        (["--findings", "t.csv"], 3, "t.csv: no column is called 'kind' (found 'id', 'd', 'b'"),
        (["--findings", "none.csv"], 3, "none.csv: there is no such file"),
    ],
)
def test_findings_that_cannot_be_used_are_refused(
    comptool, several_labels, arguments, code, message
):
    write_findings(made(LABEL_RUN, "train", ["z"], column="a", other_column="b"))
    result = comptool("split", "t.csv", *arguments)
    assert result.exit_code == code
    assert f"comptool split: {message}" in result.stderr
    assert not Path("folds.csv").exists()


def test_a_kind_that_no_finding_has_is_refused_by_row(comptool, several_labels):
    write_findings(RUN, made("label-rum", "train", ["r1"]))
    result = comptool("split", "t.csv", "--findings", "f.csv")
    assert result.exit_code == 3
    refused = "f.csv, row 3, column 'kind': unknown value; did you mean 'label-run' or "
    assert f"comptool split: {refused}" in result.stderr


def test_lists_of_labels_cannot_be_masked(comptool, monkeypatch):
    monkeypatch.setenv("COMPTOOL_TASK", "multilabel")
    lines = [f"r{n},{'x y' if n % 2 else 'z'}" for n in range(12)]
    Path("t.csv").write_text("\n".join(["id,labels", *lines, ""]))
    write_findings(made("label-set", "train", ["r1"], column="x", other_column="x"))
    result = comptool("split", "t.csv", "--findings", "f.csv", "--mask", "label-set")
    assert result.exit_code == 3
    assert "a list of labels (column 'labels') cannot mark a label as unknown" in result.stderr


@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda p: p[0] != p[1])),
    st.booleans(),
)
def test_copies_and_groups_make_the_finest_groups_that_hold_both(tmp_path_factory, copies, scene):
    folder = tmp_path_factory.mktemp("tied")
    more = [f",g{n // 2}" if scene else "" for n in range(12)]
    rows = [f"r{n:02},{'ab'[n % 2]}{more[n]}" for n in range(12)]
    header = f"id,label{',scene' if scene else ''}"
    (folder / "t.csv").write_text("\n".join([header, *rows, ""]))
    samples = samples_to_split(folder / "t.csv", None)[1]
    found = pairs(*((f"r{one:02}", f"r{other:02}") for one, other in copies))
    tied, _ = kept_together(samples, families(samples, found), folder / "f.csv")

    joined = {n: {n} for n in range(12)}
    for one, other in [*copies, *((n, n + 1) for n in range(0, 12, 2) if scene)]:
        both = joined[one] | joined[other]
        joined |= dict.fromkeys(both, both)
    if not copies:
        assert tied is samples
    else:
        assert tied.frame[tied.group].tolist() == [f"r{min(joined[n]):02}" for n in range(12)]


def test_findings_are_read_as_they_were_written(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("id,label\n007,a\nNA,b\n")
    (tmp_path / "f.csv").write_text(",".join(COLUMNS) + "\nduplicate,train,NA,p,train,007,p,,1.0\n")
    samples = read_samples(table, of_table(table), labelled=True)
    assert findings_about(samples, tmp_path / "f.csv")["id"].tolist() == ["NA"]
