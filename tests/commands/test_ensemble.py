"""``comptool ensemble`` from files to file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comptool.io import provenance

FIRST = "id,a,b\n007,0.8,0.2\nNA,0.4,0.6\n"
SECOND = "id,a,b\nNA,0.2,0.8\n007,0.6,0.4\n"  # another order of rows


@pytest.fixture
def write(tmp_path):
    """Write a prediction file and, with facts, its record."""

    def write(name: str, text: str, **facts: object) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if facts:
            path.with_name(path.name + ".meta.json").write_text(json.dumps({"facts": facts}))
        return name

    return write


def rows(path: str) -> dict[str, list[float]]:
    lines = Path(path).read_text().splitlines()[1:]
    return {line.split(",")[0]: [float(cell) for cell in line.split(",")[1:]] for line in lines}


def test_members_are_matched_by_id_in_the_order_of_the_first(comptool, write):
    result = comptool("ensemble", write("x.csv", FIRST), write("y.csv", SECOND))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "submissions/ensemble.csv\n"
    assert result.stderr.splitlines() == [
        "member x.csv, weight 0.500",
        "member y.csv, weight 0.500",
        "2 rows; all members agree on 100.0% of the rows",
    ]
    found = rows("submissions/ensemble.csv")
    assert list(found) == ["007", "NA"]
    assert found["007"] == pytest.approx([0.7, 0.3])
    assert found["NA"] == pytest.approx([0.3, 0.7])


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("mean", [0.75, 0.25]),
        # (0.8/0.2)^.75 * (0.6/0.4)^.25 = 2.828427 * 1.106682 = 3.130169 to one
        ("gmean", [3.130169 / 4.130169, 1 / 4.130169]),
        # The cube roots of 0.75 * 0.8^3 + 0.25 * 0.6^3 = 0.438 and 0.75 * 0.2^3 + 0.25 * 0.4^3
        # = 0.022 are 0.759436 and 0.280204.
        ("power", [0.759436 / 1.03964, 0.280204 / 1.03964]),
        # Both members rank 007 first for a (1) and last for b (0.5).
        ("rank-mean", [2 / 3, 1 / 3]),
        ("vote", [1.0, 0.0]),
    ],
)
def test_methods_and_weights(comptool, write, method, expected):
    files = write("x.csv", FIRST), write("y.csv", SECOND)
    result = comptool("ensemble", *files, "--method", method, "--weights", "3,1", "-o", "e.csv")
    assert result.exit_code == 0, result.stderr
    assert rows("e.csv")["007"] == pytest.approx(expected, abs=1e-6)


def test_permuted_members_with_their_weights_give_the_same(comptool, write):
    x, y = write("x.csv", FIRST), write("y.csv", SECOND)
    comptool("ensemble", x, y, "--weights", "2,1", "-o", "xy.csv")
    comptool("ensemble", y, x, "--weights", "1,2", "-o", "yx.csv")
    for name, values in rows("xy.csv").items():
        assert rows("yx.csv")[name] == pytest.approx(values)


@pytest.mark.parametrize("method", ["mean", "gmean", "power", "rank-mean", "vote"])
def test_an_ensemble_of_one_is_itself_to_the_byte(comptool, write, method):
    result = comptool("ensemble", write("x.csv", FIRST), "--method", method, "-o", "e.csv")
    assert Path("e.csv").read_text() == FIRST
    assert "an ensemble of one member is that member" in result.stderr


def test_without_arguments_it_takes_all_predictions_and_not_its_own_output(comptool, write):
    write("submissions/preds_tta.csv", SECOND)
    write("submissions/preds.csv", FIRST)
    write("submissions/preds_all.csv", FIRST)
    write("submissions/recalibrated.csv", FIRST)
    result = comptool("ensemble", "-o", "submissions/preds_all.csv", "--force", "--json")
    assert json.loads(result.stdout)["members"] == [
        "submissions/preds.csv",
        "submissions/preds_tta.csv",
    ]


def test_without_any_predictions_it_says_how_to_make_them(comptool):
    result = comptool("ensemble")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool ensemble: no preds*.csv in submissions. Make them: comptool infer\n"
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            "id,a,b\n007,0.8,0.2\n8,0.4,0.6\n",
            "y.csv: 1 ids are not in x.csv (found '8')",
        ),
        ("id,a,b\n007,0.8,0.2\n", "y.csv: lacks 1 ids of x.csv (found 'NA')"),
        (
            "id,b,a\n007,0.8,0.2\nNA,0.4,0.6\n",
            "y.csv: has its classes in another order than x.csv (a, b) (found 'b', 'a'). Make both "
            "with the same class order; columns are not reordered",
        ),
        (
            "id,a,b,c\n007,0.8,0.2,0\nNA,0.4,0.6,0\n",
            "x.csv: has no column for the class 'c', which y.csv has. "
            "Bring the column back, or make the file again: comptool infer",
        ),
        (
            "id,a\n007,1\nNA,1\n",
            "y.csv: has no column for the class 'b', which x.csv has. "
            "Bring the column back, or make the file again: comptool infer",
        ),
        # What is left sums to less than one.
        (
            "id,b\n007,0.8\nNA,0.5\n",
            "y.csv: has no column for the class 'a', which x.csv has. "
            "Bring the column back, or make the file again: comptool infer",
        ),
    ],
)
def test_files_that_do_not_match_are_refused(comptool, write, other, message):
    result = comptool("ensemble", "-q", write("x.csv", FIRST), write("y.csv", other))
    assert result.exit_code == 3
    assert result.stderr == f"comptool ensemble: {message}\n"
    assert not Path("submissions").exists()


def test_of_many_wrong_ids_three_are_named(comptool, write):
    other = "id,a,b\n" + "".join(f"{row},0.8,0.2\n" for row in range(5))
    result = comptool("ensemble", "-q", write("x.csv", FIRST), write("y.csv", other))
    assert "5 ids are not in x.csv (found '0', '1', '2' and 2 more)" in result.stderr


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("1", "--weights has 1 values for 2 members"),
        ("1,x", "--weights must be numbers separated by commas, or an ensemble.json, not '1,x'"),
        ("0,0", "--weights must be numbers of at least 0, not all 0; got 0,0"),
    ],
)
def test_wrong_weights(comptool, write, weights, message):
    files = write("x.csv", FIRST), write("y.csv", SECOND)
    result = comptool("ensemble", *files, "--weights", weights)
    assert result.exit_code == 2
    assert result.stderr == f"comptool ensemble: {message}\n"


def test_facts_are_handed_on_where_members_agree(comptool, write):
    counts = {"a": 9, "b": 1}
    x = write("x.csv", FIRST, class_counts=counts, metric="accuracy", runs=["one"])
    y = write("y.csv", SECOND, class_counts=counts, metric="kappa", runs=["two", "one"], leak="l")
    z = write("z.csv", FIRST)  # without a record
    result = comptool("ensemble", x, y, z, "-o", "e.csv")
    facts = json.loads(Path("e.csv.meta.json").read_text())["facts"]
    assert facts["ensemble"] == {
        "members": [x, y, z],
        "method": "mean",
        "weights": pytest.approx([1 / 3] * 3),
        "made_of": [{"runs": ["one"]}, {"runs": ["two", "one"]}, {}],
    }
    del facts["ensemble"]
    assert facts == {"class_counts": counts, "runs": ["one", "two"], "leak": "l"}
    assert "the members' metric differ and are not recorded" in result.stderr


def test_class_counts_that_differ_are_dropped_and_said(comptool, write):
    x = write("x.csv", FIRST, class_counts={"a": 9, "b": 1})
    y = write("y.csv", SECOND, class_counts={"a": 5, "b": 5})
    result = comptool("ensemble", x, y, "-o", "e.csv")
    assert "class_counts" not in json.loads(Path("e.csv.meta.json").read_text())["facts"]
    assert "the members' class_counts differ and are not recorded" in result.stderr


def test_members_of_different_tasks_are_refused(comptool, write):
    x = write("x.csv", FIRST, task="multiclass")
    y = write("y.csv", SECOND, task="multilabel")
    result = comptool("ensemble", "-q", x, y)
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool ensemble: these predictions are of different tasks (x.csv: multiclass, "
        "y.csv: multilabel)\n"
    )


def test_multilabel_members_need_not_sum_to_one(comptool, write):
    x = write("x.csv", "id,a,b\n1,0.9,0.8\n", task="multilabel")
    y = write("y.csv", "id,a,b\n1,0.7,0.2\n", task="multilabel")
    assert comptool("ensemble", x, y, "-o", "e.csv").exit_code == 0
    assert rows("e.csv")["1"] == pytest.approx([0.8, 0.5])


def test_decisions_and_folds_of_members(comptool, write):
    x = write("x.csv", "id,fold,a,b,pred\n1,0,0.9,0.1,a\n2,1,0.9,0.1,b\n")
    y = write("y.csv", "id,fold,a,b\n2,1,0.7,0.3\n1,0,0.7,0.3\n")
    result = comptool("ensemble", x, y, "-o", "same.csv")
    assert Path("same.csv").read_text().splitlines()[0] == "id,fold,a,b"
    assert "the decisions (column pred) of x.csv are left out" in result.stderr
    z = write("z.csv", "id,fold,a,b\n2,0,0.7,0.3\n1,0,0.7,0.3\n")
    result = comptool("ensemble", y, z, "-o", "other.csv")
    assert Path("other.csv").read_text().splitlines()[0] == "id,a,b"
    assert "the members' folds differ: the column fold is left out" in result.stderr


def test_logits_are_refused(comptool, write):
    result = comptool("ensemble", write("x.csv", FIRST), write("y.csv", "id,a,b\n1,3.5,-2\n"))
    assert result.exit_code == 3
    assert "y.csv, row 1, column 'a': is not a probability between 0 and 1" in result.stderr


def test_an_output_is_replaced_only_by_force(comptool, write):
    write("e.csv", "mine")
    result = comptool("ensemble", write("x.csv", FIRST), "-o", "e.csv")
    assert result.exit_code == 3
    assert Path("e.csv").read_text() == "mine"


def test_a_dry_run_writes_nothing(comptool, write):
    result = comptool("ensemble", write("x.csv", FIRST), "-o", "e.csv", "--dry-run")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == ["member x.csv, weight 1.000", "would write e.csv"]
    assert not Path("e.csv").exists()


def test_the_program_itself(program, write):
    write("submissions/preds.csv", FIRST)
    write("submissions/preds_tta.csv", SECOND)
    result = program("ensemble", "--quiet")
    assert (result.returncode, result.stdout) == (0, "submissions/ensemble.csv\n")
    assert result.stderr == ""


def test_ranks_are_recorded_as_such_whatever_they_are_mixed_with(comptool, write):
    x, y = write("x.csv", FIRST), write("y.csv", SECOND)
    comptool("ensemble", x, y, "--method", "rank-mean", "-o", "ranks.csv")
    comptool("ensemble", "ranks.csv", x, "-o", "mixed.csv")
    comptool("ensemble", x, y, "-o", "mean.csv")
    said = [
        provenance.recall(Path(f"{name}.csv")).facts.get("scores") for name in ("ranks", "mixed")
    ]
    assert said == ["ranks", "ranks"]
    assert "scores" not in provenance.recall(Path("mean.csv")).facts


MANY_FIRST = "id,sea,golf course\n007,0.9,0.8\nNA,0.2,0.6\n"
MANY_SECOND = "id,sea,golf course\nNA,0.4,0.3\n007,0.7,0.9\n"


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("mean", {"007": [0.8, 0.85], "NA": [0.3, 0.45]}),
        ("gmean", {"007": [0.63**0.5, 0.72**0.5], "NA": [0.08**0.5, 0.18**0.5]}),
        ("rank-mean", {"007": [1.0, 1.0], "NA": [0.5, 0.5]}),
        ("vote", {"007": [1.0, 1.0], "NA": [0.0, 0.5]}),
    ],
)
def test_classes_of_a_multi_label_task_are_combined_each_for_itself(
    comptool, write, method, expected
):
    files = [
        write("x.csv", MANY_FIRST, task="multilabel"),
        write("y.csv", MANY_SECOND, task="multilabel"),
    ]
    result = comptool("ensemble", *files, "--method", method, "-o", "e.csv")
    assert result.exit_code == 0, result.stderr
    for name, values in expected.items():
        assert rows("e.csv")[name] == pytest.approx(values)
    # Only of 'golf course' in NA one says yes and the other no.
    assert result.stderr.splitlines()[-1] == (
        "2 rows; all members agree on 75.0% of the cells, image by class"
    )


def test_the_task_of_files_without_a_record_is_the_competitions(comptool, write):
    write("comptool.toml", 'task = "multilabel"\n')
    result = comptool("ensemble", write("x.csv", MANY_FIRST), write("y.csv", MANY_SECOND), "-q")
    assert result.exit_code == 0, result.stderr
    assert rows("submissions/ensemble.csv")["007"] == pytest.approx([0.8, 0.85])


def test_what_made_one_member_is_no_matter_of_the_ensemble(comptool, write):
    views = {"views": ["identity", "horizontal"], "merge": "mean"}
    files = [
        write("x.csv", FIRST, **views, evidence={"gain": 0.1}),
        write("y.csv", SECOND, evidence="no evidence"),
    ]
    result = comptool("ensemble", *files)
    assert "differ" not in result.stderr
    facts = json.loads(Path("submissions/ensemble.csv.meta.json").read_text())["facts"]
    assert list(facts) == ["ensemble"]
