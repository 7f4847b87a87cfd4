"""``comptool evaluate``: figures, intervals and pictures of predictions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from comptool.reports.evaluate import evaluate
from comptool.reports.plots import draw_confusion, save_picture

NAMES = {"accuracy", "balanced-accuracy", "macro-f1", "kappa", "ece", "confidence-gap"}


def write(path: str, header: list[str], rows: list[list[object]]) -> None:
    with Path(path).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


def held_out(run: Path) -> None:
    shares = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2], [0.7, 0.2, 0.1]]
    rows = [[f"tr{number:03}", 0, *share] for number, share in enumerate(shares)]
    write(str(run / "oof.csv"), ["id", "fold", "a", "b", "c"], rows)


@pytest.fixture
def answered(tmp_path, monkeypatch) -> None:
    """``preds.csv`` of ten rows, eight of them right, and ``answers.csv`` in another order."""
    monkeypatch.chdir(tmp_path)
    truth = ["ship", "tank", "truck", "ship", "tank", "truck", "ship", "tank", "truck", "ship"]
    classes = ["ship", "tank", "truck"]
    predictions, answers = [], []
    for number, name in enumerate(truth):
        said = "tank" if number in (0, 2) else name
        shares = [0.8 if said == one else 0.1 for one in classes]
        predictions.append([f"i{number}", *shares])
        answers.append([f"i{number}", name])
    write("preds.csv", ["id", *classes], predictions)
    write("answers.csv", ["id", "class"], answers[::-1])


def test_predictions_are_evaluated_on_answers(answered, comptool):
    result = comptool("evaluate", "preds.csv", "--answers", "answers.csv", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert set(document["figures"]) == NAMES
    accuracy = document["figures"]["accuracy"]
    assert accuracy["value"] == pytest.approx(0.8)
    assert accuracy["low"] < 0.8 < accuracy["high"]
    assert document["figures"]["confidence-gap"]["value"] == pytest.approx(0)
    assert document["figures"]["ece"]["low"] is None
    expected = document["ece_if_calibrated"]
    assert 0 <= expected["low"] < expected["value"] < expected["high"]
    # The interval of three right rows of three.
    assert document["per_class"]["tank"] == {
        "value": 1,
        "low": pytest.approx(0.4644, abs=1e-4),
        "high": 1,
    }
    assert document["confusion"] == [[3, 1, 0], [0, 3, 0], [0, 1, 2]]
    assert document["per_class"]["truck"]["value"] == pytest.approx(2 / 3)
    assert document["pictures"] == []


def test_the_text_names_every_figure_and_class(answered, comptool):
    text = comptool("evaluate", "preds.csv", "--answers", "answers.csv").stdout
    for name in (*NAMES, "ship", "tank", "truck"):
        assert any(line.split()[0] == name for line in text.splitlines() if line.strip()), name
    assert "0.8000 (" in text
    (line,) = (one for one in text.splitlines() if one.startswith("ece "))
    assert "; of a calibrated model with these confidences 0." in line


def test_without_resamples_nothing_has_an_interval(answered, comptool):
    arguments = ("evaluate", "preds.csv", "--answers", "answers.csv", "--bootstrap", "0", "--json")
    document = json.loads(comptool(*arguments).stdout)
    figures = [*document["figures"].values(), *document["per_class"].values()]
    assert all(one["low"] is None for one in figures)
    assert "ece_if_calibrated" not in document


def test_decisions_replace_the_most_probable_class(answered, comptool):
    header, *rows = csv.reader(Path("preds.csv").open())
    truth = dict(list(csv.reader(Path("answers.csv").open()))[1:])
    write("preds.csv", [*header, "pred"], [[*row, truth[row[0]]] for row in rows])
    result = comptool("evaluate", "preds.csv", "--answers", "answers.csv", "--json")
    figures = json.loads(result.stdout)["figures"]
    assert figures["accuracy"]["value"] == 1
    assert figures["confidence-gap"] == {"value": None, "low": None, "high": None}


def test_pictures_are_drawn_and_not_replaced(answered, comptool):
    arguments = ("evaluate", "preds.csv", "--answers", "answers.csv", "--pictures", "drawn")
    assert comptool(*arguments).exit_code == 0
    found = evaluate("preds.csv", answers=Path("answers.csv"), resamples=0)
    save_picture(Path("expected.png"), draw_confusion(found.confusion, ["ship", "tank", "truck"]))
    assert Path("drawn/confusion.png").read_bytes() == Path("expected.png").read_bytes()
    assert cv2.imread("drawn/reliability.png").shape == (620, 620, 3)
    for name in ("confusion", "reliability"):
        record = json.loads(Path(f"drawn/{name}.png.meta.json").read_text())
        assert record["arguments"]["source"] == "preds.csv"
        assert record["inputs"].keys() == {"preds.csv", "answers.csv"}
    again = comptool(*arguments)
    assert again.exit_code == 3
    assert "exists already" in again.stderr
    assert comptool(*arguments, "--force").exit_code == 0


def test_letters_that_no_font_has_are_told_where_pictures_are_drawn(
    answered, comptool, monkeypatch
):
    monkeypatch.setattr("comptool.reports.plots._chosen", lambda letters: ((), letters))
    for name in ("preds.csv", "answers.csv"):
        Path(name).write_text(Path(name).read_text().replace("ship", "군함"))
    arguments = ("evaluate", "preds.csv", "--answers", "answers.csv", "--json")
    plain, drawn = (comptool(*arguments, *more) for more in ((), ("--pictures", "drawn")))
    assert json.loads(plain.stdout)["warnings"] == []
    (warning,) = json.loads(drawn.stdout)["warnings"]
    assert warning.startswith("no installed font can write '군', '함' in the pictures")
    assert drawn.stderr.count(f"warning: {warning}\n") == 1


def test_several_classes_per_row_have_average_precisions(tmp_path, comptool):
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 2, (30, 3))
    shares = np.clip(cells * 0.4 + rng.random((30, 3)) * 0.6, 0, 1)
    write("answers.csv", ["id", "a", "b", "c"], [[f"i{n}", *row] for n, row in enumerate(cells)])
    write("preds.csv", ["id", "a", "b", "c"], [[f"i{n}", *row] for n, row in enumerate(shares)])
    result = comptool(
        "evaluate", "preds.csv", "--answers", "answers.csv", "--json", "--pictures", "drawn"
    )
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert set(document["figures"]) == {"map", "macro-f1", "ece"}
    values = [document["per_class"][name]["value"] for name in "abc"]
    assert document["figures"]["map"]["value"] == pytest.approx(np.mean(values))
    assert document["pictures"] == ["drawn/reliability.png"]


def test_a_run_is_evaluated_on_the_rows_that_it_held_out(pairs, comptool):
    held_out(pairs("run"))
    result = comptool("evaluate", "run", "--json", "--bootstrap", "20")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["rows"], document["truth"]) == (4, "data/train.csv")
    assert document["figures"]["accuracy"]["value"] == 0.75


def test_a_run_whose_rows_are_no_evidence_is_refused(pairs, comptool):
    run = pairs("run", leak="it was trained on them")
    write(str(run / "oof.csv"), ["id", "fold", "a", "b", "c"], [["tr000", 0, 1, 0, 0]])
    result = comptool("evaluate", "run")
    assert result.exit_code == 3
    assert "cannot serve as evidence: it was trained on them" in result.stderr


def test_other_ids_and_classes_are_refused(answered, comptool):
    rows = list(csv.reader(Path("answers.csv").open()))[1:]
    write("fewer.csv", ["id", "class"], rows[1:])
    result = comptool("evaluate", "preds.csv", "--answers", "fewer.csv")
    assert result.exit_code == 3
    assert "1 ids are not asked for" in result.stderr
    write("other.csv", ["id", "class"], [[rows[0][0], "boat"], *rows[1:]])
    result = comptool("evaluate", "preds.csv", "--answers", "other.csv")
    assert result.exit_code == 3
    assert "row 1, column 'class': is a class that the predictions have no column for" in (
        result.stderr
    )


def test_predictions_of_rows_without_labels_need_answers(pairs, comptool):
    pairs("run")
    assert comptool("infer", "run", "-j", 0).exit_code == 0
    result = comptool("evaluate", "submissions/preds.csv")
    assert result.exit_code == 3
    assert "no table here has labels of these " in result.stderr
    assert result.stderr.endswith("comptool evaluate takes other labels with --answers\n")


def test_answers_alone_are_no_predictions(answered, comptool):
    result = comptool("evaluate", "--answers", "answers.csv")
    assert result.exit_code == 2
    assert "--answers needs a prediction file" in result.stderr


def test_a_dry_run_names_what_would_be_read(answered, pairs, comptool):
    held_out(pairs("run"))
    said = comptool("evaluate", "--dry-run").stderr
    assert said == (
        "would read weights/run/oof.csv and the labels of its rows; nothing is written\n"
    )
    gone = comptool("evaluate", "gone.csv", "--answers", "answers.csv", "--dry-run")
    assert (gone.exit_code, gone.stderr) == (
        3,
        "comptool evaluate: gone.csv: there is no such file\n",
    )
    assert comptool("evaluate", "other", "--dry-run").exit_code == 3


def test_a_dry_run_draws_nothing(answered, comptool):
    result = comptool(
        "evaluate", "preds.csv", "--answers", "answers.csv", "--pictures", "drawn", "--dry-run"
    )
    assert result.exit_code == 0
    assert "would write drawn/confusion.png and drawn/reliability.png" in result.stderr
    assert not Path("drawn").exists()


def test_classes_that_a_run_was_trained_without_are_told(pairs, comptool):
    held_out(pairs("run", dropped=["a", "c"]))
    result = comptool("evaluate", "run", "--json", "--bootstrap", 0)
    told = (
        "weights/run was trained without a, c (--drop-classes): what it gives for what was left "
        "out means little"
    )
    assert f"warning: {told}" in result.stderr
    assert json.loads(result.stdout)["warnings"] == [told]
    infer = comptool("infer", "run", "--dry-run")
    assert f"warning: {told}" in infer.stderr


def test_predictions_tell_of_the_runs_that_made_them(pairs, comptool):
    pairs("run", dropped=["b"])
    pairs("other", fusion_weights={"alpha_1_1": 0.625, "alpha_mean": 0.625})
    assert comptool("infer", "run", "other", "-j", 0).exit_code == 0
    rows = list(csv.reader(Path("submissions/preds.csv").open()))[1:]
    write("answers.csv", ["id", "class"], [[row[0], "abc"[n % 3]] for n, row in enumerate(rows)])
    arguments = ("evaluate", "submissions/preds.csv", "--answers", "answers.csv", "--bootstrap", 0)
    result = comptool(*arguments, "--json")
    assert "warning: weights/run was trained without b (--drop-classes)" in result.stderr
    alphas = {"weights/other": {"alpha_1_1": 0.625, "alpha_mean": 0.625}}
    assert json.loads(result.stdout)["fusion_weights"] == alphas
    assert comptool(*arguments).stdout.splitlines()[-3:] == [
        "fusion weights of weights/other, share of the coordinate attention",
        "  alpha_1_1   0.6250",
        "  alpha_mean  0.6250",
    ]


def test_the_competitions_own_metric_comes_first_a_users_function_too(answered, comptool):
    Path("own.py").write_text(
        "def best(targets, probabilities):\n    return float(probabilities.max(axis=1).mean())\n"
    )
    for metric, first in (("own.py:best", 0.8), ("auc", None), ("kappa", None)):
        Path("comptool.toml").write_text(
            f'task = "multiclass"\nmetric = "{metric}"\n[data]\nid = "id"\nlabel = "class"\n'
            'train = "answers.csv"\n[modalities]\nimage = "{id}.png"\n'
        )
        result = comptool("evaluate", "preds.csv", "--answers", "answers.csv", "--json")
        assert result.exit_code == 0, result.stderr
        document = json.loads(result.stdout)
        assert document["metric"] == metric
        assert set(document["figures"]) == NAMES | {metric}
        shown = next(iter(document["figures"]))
        assert shown == ("accuracy" if metric == "kappa" else metric)
        if first is not None:
            assert document["figures"][metric]["value"] == pytest.approx(first)
        assert document["figures"][metric]["low"] is not None
