"""comptool submit, from predictions to a checked file."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from comptool.io import provenance

PREDS = "image_id,0,1\nq,0.25,0.75\np,1.0,0.0\nr,0.5,0.5\n"


@pytest.fixture
def cup(tmp_path) -> Path:
    """A competition called cup with three test rows, and predictions of them."""
    (tmp_path / "submissions").mkdir()
    (tmp_path / "submissions" / "preds.csv").write_text(PREDS)
    (tmp_path / "sample.csv").write_text("image_id,class_id\np,0\nq,0\nr,0\n")
    (tmp_path / "comptool.toml").write_text(
        'name = "cup"\ntask = "multiclass"\nmetric = "accuracy"\n[data]\n'
        'sample-submission = "sample.csv"\nid = "image_id"\nlabel = "class_id"\n'
        '[modalities]\nimage = "{id}.png"\n'
    )
    return tmp_path


def ranked_by(metric: str) -> None:
    toml = Path("comptool.toml")
    toml.write_text(toml.read_text().replace('"accuracy"', f'"{metric}"'))


def test_the_samples_layout_order_and_ids(comptool, cup):
    result = comptool("submit")
    assert (result.exit_code, result.stdout) == (0, "submissions/cup.csv\n")
    assert Path("submissions/cup.csv").read_bytes() == b"image_id,class_id\np,0\nq,1\nr,0\n"
    assert result.stderr == (
        "taking submissions/preds.csv, the last step of the chain that exists\n"
        "layout and ids of sample.csv\n"
        "answer form: one class, as the metric accuracy reads classes\n"
        "checked: 3 rows of image_id,class_id (one class), ids as expected\n"
    )
    recorded = provenance.recall(Path("submissions/cup.csv"))
    assert list(recorded.inputs) == ["submissions/preds.csv", "sample.csv"]
    assert recorded.facts == {"layout": "one class", "rows": 3}


def test_the_zip_holds_the_csv_and_passes_its_own_check(comptool, cup):
    result = comptool("submit", "--zip")
    assert (result.exit_code, result.stdout) == (0, "submissions/cup.zip\n")
    with zipfile.ZipFile("submissions/cup.zip") as archive:
        assert archive.read("results.csv") == Path("submissions/cup.csv").read_bytes()
    first = Path("submissions/cup.zip").read_bytes()
    assert comptool("submit", "--zip", "--force").exit_code == 0
    assert Path("submissions/cup.zip").read_bytes() == first
    assert comptool("submit", "--check-only", "submissions/cup.zip").exit_code == 0


def test_the_last_step_of_the_chain_is_taken(comptool, cup):
    for name in ("preds_tta", "ensemble", "recalibrated"):
        Path(f"submissions/{name}.csv").write_text(PREDS)
        result = comptool("submit", "--force")
        assert f"taking submissions/{name}.csv, the last step of the chain" in result.stderr


def test_pred_wins_over_the_most_probable_class(comptool, cup):
    Path("submissions/recalibrated.csv").write_text(
        "image_id,0,1,pred\nq,0.25,0.75,0\np,1.0,0.0,1\nr,0.5,0.5,1\n"
    )
    assert comptool("submit").exit_code == 0
    assert Path("submissions/cup.csv").read_text() == "image_id,class_id\np,1\nq,0\nr,1\n"


DECIDED = "image_id,0,1,pred\nq,0.25,0.75,0\np,1.0,0.0,0\nr,0.5,0.5,1\n"


@pytest.mark.parametrize(
    ("sample", "written"),
    [
        ("image_id,0,1\np,0,0\nq,0,0\nr,0,0\n", "p,1.0,0.0\nq,0.25,0.75\nr,0.5,0.5\n"),
        ("image_id,1\np,0.5\nq,0.5\nr,0.5\n", "p,0.0\nq,0.75\nr,0.5\n"),
    ],
    ids=["one column per class", "one probability"],
)
def test_answers_that_probabilities_cannot_hold_are_counted(comptool, cup, sample, written):
    Path("submissions/recalibrated.csv").write_text(DECIDED)
    Path("sample.csv").write_text(sample)
    ranked_by("logloss")
    result = comptool("submit")
    assert (result.exit_code, result.stdout) == (0, "submissions/cup.csv\n")
    assert Path("submissions/cup.csv").read_text().endswith(written)
    assert result.stderr.splitlines()[-2] == (
        "warning: in 1 of 3 rows of submissions/recalibrated.csv the most probable class is not "
        "the answer in column pred; the sample submission asks for probabilities, so these answers "
        "are not in the submission, which says what it would say without them"
    )


def test_answers_that_the_probabilities_give_anyway_are_no_loss(comptool, cup):
    Path("submissions/recalibrated.csv").write_text(DECIDED.replace("0.75,0", "0.75,1"))
    Path("sample.csv").write_text("image_id,0,1\np,0,0\nq,0,0\nr,0,0\n")
    ranked_by("logloss")
    assert "warning" not in comptool("submit").stderr


def test_an_unknown_answer_is_refused_whatever_the_layout(comptool, cup):
    Path("submissions/recalibrated.csv").write_text(DECIDED.replace("0.75,0", "0.75,7"))
    Path("sample.csv").write_text("image_id,0,1\np,0,0\nq,0,0\nr,0,0\n")
    ranked_by("logloss")
    result = comptool("submit")
    assert result.exit_code == 4
    assert "column 'pred': no such class (found '7')" in result.stderr
    assert not Path("submissions/cup.csv").exists()


def test_a_later_step_made_of_an_older_one_is_called_stale(comptool, cup):
    preds, recalibrated = Path("submissions/preds.csv"), Path("submissions/recalibrated.csv")
    recalibrated.write_text(PREDS)
    provenance.record(recalibrated, command="recalibrate", arguments={}, inputs=[preds])
    assert "stale" not in comptool("submit").stderr
    preds.write_text(PREDS.replace("0.25,0.75", "0.75,0.25"))
    assert (
        "warning: submissions/recalibrated.csv is stale: submissions/preds.csv has changed since "
        "it was made of it\n"
    ) in comptool("submit", "--force").stderr


def test_a_change_two_steps_back_is_seen(comptool, cup):
    steps = [Path(f"submissions/{name}.csv") for name in ("preds", "ensemble", "recalibrated")]
    for made, source in zip(steps[1:], steps, strict=False):
        made.write_text(PREDS)
        provenance.record(made, command="x", arguments={}, inputs=[source])
    steps[0].write_text(PREDS.replace("0.25,0.75", "0.75,0.25"))
    assert "submissions/ensemble.csv is stale" in comptool("submit").stderr


def test_a_newer_step_that_did_not_flow_in_is_told(comptool, cup):
    Path("submissions/recalibrated.csv").write_text(PREDS)
    Path("submissions/ensemble.csv").write_text(PREDS)
    os.utime("submissions/recalibrated.csv", (1, 1))
    message = "made before submissions/ensemble.csv and submissions/preds.csv, so it may be out"
    assert message in comptool("submit").stderr


def test_check_only_writes_nothing_and_says_what_an_organiser_would(comptool, cup):
    mine = Path("mine.csv")
    mine.write_text("image_id,class_id\np,0\nq,1\nr,x\n")
    before = sorted(cup.rglob("*"))
    result = comptool("submit", "--check-only", "mine.csv")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == (
        "comptool submit: mine.csv, row 3, column 'class_id': not a whole number, as the sample "
        "submission has (found 'x')\n"
    )
    mine.write_text("image_id,class_id\np,0\nq,1\nr,1\n")
    result = comptool("submit", "--check-only", "mine.csv", "--json")
    assert json.loads(result.stdout) == {"checked": "mine.csv", "rows": 3, "form": "label"}
    assert sorted(cup.rglob("*")) == before


def test_check_only_knows_the_classes_of_the_training_table(comptool, cup):
    Path("train.csv").write_text("image_id,class_id\n1,0\n2,1\n")
    toml = Path("comptool.toml")
    toml.write_text(toml.read_text().replace("[data]", '[data]\ntrain = "train.csv"'))
    Path("mine.csv").write_text("image_id,class_id\np,0\nq,1\nr,2\n")
    result = comptool("submit", "--check-only", "mine.csv")
    assert result.exit_code == 4
    assert result.stderr.endswith("no such class; the classes are '0', '1' (found '2')\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,class_id\n", "mine.csv: has a header and no rows"),
        ("", "mine.csv: is empty (0 bytes)"),
        ("image_id,class_id\np,0\nq,1\n", "mine.csv, column 'image_id': 1 id of the sample "),
        ("image_id;class_id\np;0\nq;1\nr;0\n", "mine.csv: the header is image_id;class_id; the s"),
    ],
)
def test_a_file_that_would_be_refused_is_exit_4(comptool, cup, text, message):
    Path("mine.csv").write_text(text)
    result = comptool("submit", "--check-only", "mine.csv")
    assert result.exit_code == 4
    assert result.stderr.startswith(f"comptool submit: {message}")


@pytest.mark.parametrize(
    ("preds", "code", "message"),
    [
        (PREDS.replace("q,", "x,"), 4, "submissions/preds.csv, column 'image_id': 1 id of the "
         "sample submission missing: 'q'; 1 id not in the sample submission: 'x'"),
        (PREDS.replace("0.25,0.75", "2.5,-1.5"), 3, "submissions/preds.csv, row 1, column '0': "),
        (PREDS.replace("0.25,0.75", ",0.75"), 3, "submissions/preds.csv, row 1, column '0': is n"),
        (PREDS.replace("p,", "q,"), 3, "submissions/preds.csv, row 2, column 'image_id': dupli"),
        ("image_id,0,1,pred\np,1,0,7\nq,1,0,0\nr,1,0,0\n", 4,
         "submissions/preds.csv, column 'pred': no such class (found '7')"),
    ],
)  # fmt: skip
def test_predictions_that_do_not_fit_write_nothing(comptool, cup, preds, code, message):
    Path("submissions/preds.csv").write_text(preds)
    result = comptool("submit", "--zip")
    assert result.exit_code == code
    assert result.stderr.splitlines()[-1].startswith(f"comptool submit: {message}")
    assert sorted(path.name for path in Path("submissions").iterdir()) == ["preds.csv"]


@pytest.mark.parametrize("existing", ["cup.csv", "cup.zip"])
def test_neither_file_is_replaced_unasked(comptool, cup, existing):
    Path("submissions", existing).write_text("mine")
    result = comptool("submit", "--zip")
    assert result.exit_code == 3
    assert result.stderr.startswith(f"comptool submit: submissions/{existing}: exists already")
    assert sorted(path.name for path in Path("submissions").iterdir()) == sorted(
        ["preds.csv", existing]
    )


def test_dry_run_writes_nothing(comptool, cup):
    result = comptool("submit", "--dry-run", "--zip")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith("would write submissions/cup.csv and submissions/cup.zip\n")
    assert sorted(path.name for path in Path("submissions").iterdir()) == ["preds.csv"]


def test_without_a_sample_submission_the_mend_is_said(comptool, cup):
    Path("test.csv").write_text("image_id\np\n")
    toml = Path("comptool.toml")
    toml.write_text(toml.read_text().replace('sample-submission = "sample.csv"', 'test="test.csv"'))
    result = comptool("submit")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool submit: the competition has no sample submission to take the layout and the ids "
        "from. Give --sample-submission FILE, or 'sample-submission' in comptool.toml\n"
    )
    assert comptool("submit", "--sample-submission", "sample.csv").exit_code == 0


def test_a_sample_submission_is_enough(comptool, tmp_path):
    Path("p.csv").write_text(PREDS)
    Path("s.csv").write_text("image_id,1,0\np,0,0\nq,0,0\nr,0,0\n")
    result = comptool("submit", "p.csv", "--sample-submission", "s.csv", "-o", "out.csv")
    assert (result.exit_code, result.stdout) == (0, "out.csv\n")
    assert Path("out.csv").read_text() == "image_id,1,0\np,0.0,1.0\nq,0.75,0.25\nr,0.5,0.5\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--check-only", "a.csv", "--zip"], "--check-only writes nothing: no predictions, -o, --"),
        (["--check-only", "a.csv", "--threshold", "0.5"], "--check-only writes nothing: no pre"),
        (["--threshold", "0.5"], "--threshold is for multi-label competitions; this one is not"),
        (["-o", "a.zip"], "-o a.zip has to end in .csv; --zip makes the zip beside it"),
    ],
)
def test_contradicting_options_are_refused(comptool, cup, arguments, message):
    result = comptool("submit", *arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"comptool submit: {message}")


@pytest.mark.parametrize(
    ("sample", "written"),
    [
        (",image_id,class_id\n0,p,0\n1,q,0\n2,r,0\n", ",image_id,class_id\n0,p,0\n1,q,1\n2,r,0\n"),
        ("image_id;class_id\np;0\nq;0\nr;0\n", "image_id;class_id\np;0\nq;1\nr;0\n"),
        ("p.png,0\nq.png,0\nr.png,0\n", "p.png,0\nq.png,1\nr.png,0\n"),
        ("#image_id,class_id\np,0\nq,0\nr,0\n", "#image_id,class_id\np,0\nq,1\nr,0\n"),
        ("# v2\n# image_id,class_id\np,0\nq,0\nr,0\n", "# image_id,class_id\np,0\nq,1\nr,0\n"),
        (
            "#,image_id,class_id\n0,p,0\n1,q,0\n2,r,0\n",
            "#,image_id,class_id\n0,p,0\n1,q,1\n2,r,0\n",
        ),
    ],
    ids=["nameless index", "semicolons", "no header", "hash", "hash and blank", "hash alone"],
)
def test_the_file_is_written_as_the_sample_is(comptool, cup, sample, written):
    Path("sample.csv").write_text(sample)
    if "png" in sample:
        for name in "pqr":
            preds = Path("submissions/preds.csv")
            preds.write_text(preds.read_text().replace(f"\n{name},", f"\n{name}.png,"))
    assert comptool("submit", "--zip").exit_code == 0
    assert Path("submissions/cup.csv").read_text() == written
    assert comptool("submit", "--check-only", "submissions/cup.zip").exit_code == 0
    truth = written.replace(",1\n", ",0\n").replace(";1\n", ";0\n")
    Path("answers.csv").write_text(truth)
    result = comptool("score", "submissions/cup.csv", "--answers", "answers.csv", "--public", "0")
    assert result.stdout == "accuracy  private 0.66667 (3 rows)\n"


def test_predictions_of_another_task_are_refused(comptool, cup):
    preds = Path("submissions/preds.csv")
    facts = {"task": "multilabel", "classes": ["0", "1"]}
    provenance.record(preds, command="infer", arguments={}, facts=facts)
    result = comptool("submit", "-q")
    assert (result.exit_code, result.stderr) == (
        3,
        "comptool submit: submissions/preds.csv: these predictions are multilabel, and the "
        "competition is multiclass. Give the predictions of a run of this competition\n",
    )


def test_without_a_competition_the_task_is_the_recorded_one(comptool, tmp_path):
    preds = Path("p.csv")
    preds.write_text("image_id,0,1\nq,0.9,0.75\np,0.1,0.0\nr,0.5,0.6\n")
    facts = {"task": "multilabel", "classes": ["0", "1"]}
    provenance.record(preds, command="infer", arguments={}, facts=facts)
    Path("s.csv").write_text("image_id,y\np,0 1\nq,\nr,\n")
    result = comptool("submit", "p.csv", "--sample-submission", "s.csv", "-o", "out.csv")
    assert result.exit_code == 0, result.stderr
    assert Path("out.csv").read_text() == 'image_id,y\np,""\nq,0 1\nr,1\n'
    assert "answer form: a list of classes, as the sample submission shows\n" in result.stderr


def test_a_form_that_is_named_is_written(comptool, cup):
    ranked_by("auc")
    assert comptool("submit", "--form", "label").exit_code == 0
    assert Path("submissions/cup.csv").read_text() == "image_id,class_id\np,0\nq,1\nr,0\n"
    result = comptool("submit", "--force", "--json")
    assert json.loads(result.stdout)["form"] == "probability"
    assert Path("submissions/cup.csv").read_text() == "image_id,class_id\np,0.0\nq,0.75\nr,0.5\n"
    result = comptool("submit", "--form", "list", "--force")
    assert result.exit_code == 2
    assert result.stderr.endswith("comptool submit: --form list: an image has one class\n")


def test_no_predictions_at_all(comptool, cup):
    Path("submissions/preds.csv").unlink()
    result = comptool("submit")
    assert result.exit_code == 3
    assert result.stderr.endswith("Make them: comptool infer\n")


def test_submission_of_the_real_test_pairs(comptool, real_data, tmp_path):
    (tmp_path / "data").symlink_to(real_data / "unicorn")
    (tmp_path / "submissions").mkdir()
    ids = [line.split(",")[0] for line in (real_data / "unicorn" / "test.csv").open()][:0:-1]
    shares = np.random.default_rng(0).dirichlet(np.ones(10), len(ids))
    lines = [",".join([one, *map(str, row)]) for one, row in zip(ids, shares, strict=True)]
    header = "image_id," + ",".join(map(str, range(10)))
    Path("submissions/preds.csv").write_text("\n".join([header, *lines, ""]))
    assert comptool("submit", "--zip").exit_code == 0
    rows = Path("submissions/unicorn.csv").read_text().splitlines()
    assert len(rows) == 827
    answers = {one: str(row.argmax()) for one, row in zip(ids, shares, strict=True)}
    assert rows[1:] == [f"{one},{answers[one]}" for one in reversed(ids)]
    assert comptool("submit", "--check-only", "submissions/unicorn.zip").exit_code == 0


def of_one_probability() -> None:
    Path("sample.csv").write_text("image_id,target\np,0.5\nq,0.5\nr,0.5\n")
    ranked_by("auc")


def described(*lines: str) -> None:
    """Put lines before [data] in comptool.toml."""
    toml = Path("comptool.toml")
    toml.write_text(toml.read_text().replace("[data]", "\n".join([*lines, "[data]"])))


def test_the_class_of_one_probability_is_that_of_the_option_then_of_the_competition(comptool, cup):
    of_one_probability()
    result = comptool("submit")
    assert Path("submissions/cup.csv").read_text() == "image_id,target\np,0.0\nq,0.75\nr,0.5\n"
    assert (
        "column 'target' is presumed to be the probability of class '1', the second; "
        "--positive-class 0 makes it that of the other\n"
    ) in result.stderr
    described('positive-class = "0"')
    said = "column 'target' is the probability of class '{}', as positive-class says\n"
    result = comptool("submit", "--force")
    assert Path("submissions/cup.csv").read_text() == "image_id,target\np,1.0\nq,0.25\nr,0.5\n"
    assert said.format(0) in result.stderr
    # It is graded as it was written.
    Path("answers.csv").write_text("image_id,class_id\np,0\nq,1\nr,0\n")
    graded = comptool("score", "submissions/cup.csv", "--answers", "answers.csv", "--public", "0")
    assert graded.stdout == "auc  private 1.00000 (3 rows)\n"
    result = comptool("submit", "--force", "--positive-class", "1")
    assert Path("submissions/cup.csv").read_text() == "image_id,target\np,0.0\nq,0.75\nr,0.5\n"
    assert said.format(1) in result.stderr


def test_a_positive_class_that_means_nothing_is_refused(comptool, cup):
    result = comptool("submit", "--positive-class", "1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--positive-class 1 is for one column of probabilities; the answers are one class" in (
        result.stderr
    )
    of_one_probability()
    result = comptool("submit", "--positive-class", "yes")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "the positive class 'yes' is not a class; the classes are '0', '1'" in result.stderr
    described('positive-class = "1"')
    with Path("comptool.toml").open("a") as file:
        file.write('[metric-options]\npositive-class = "0"\n')
    result = comptool("submit")
    assert result.exit_code == 3
    assert "'positive-class' and that of [metric-options] differ (found '1', '0')" in result.stderr


def test_the_form_of_the_competition_is_taken_and_an_option_wins(comptool, cup):
    of_one_probability()
    described('form = "label"')
    result = comptool("submit")
    assert Path("submissions/cup.csv").read_text() == "image_id,target\np,0\nq,1\nr,0\n"
    assert "answer form: one class, as 'form' in comptool.toml says\n" in result.stderr
    result = comptool("submit", "--force", "--form", "probability")
    assert Path("submissions/cup.csv").read_text() == "image_id,target\np,0.0\nq,0.75\nr,0.5\n"
    assert "answer form: one probability, as --form says\n" in result.stderr
    toml = Path("comptool.toml")
    toml.write_text(toml.read_text().replace('"label"', '"labels"'))
    result = comptool("submit", "--force")
    assert result.exit_code == 3
    assert "comptool.toml: no answer form is called 'labels'; did you mean 'label'" in result.stderr
