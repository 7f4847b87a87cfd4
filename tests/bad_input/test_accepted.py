"""What looks odd and is in order: awkward ids and CSVs, batches of one, batches beyond the data."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from comptool.predictions import read_predictions

# Test ids t0 to t5 become these; the first training ids too, with a prefix.
AWKWARD = ["007", "1e5", "NA", "a,b", "Straße 東", 'q"q']


def renamed(text: str, prefix: str, old: str) -> str:
    rows = list(csv.reader(io.StringIO(text)))
    names = {f"{old}{index}": prefix + name for index, name in enumerate(AWKWARD)}
    for row in rows[1:]:
        row[0] = names.get(row[0], row[0])
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\r\n").writerows(rows)
    return stream.getvalue()


def lines(path: str) -> list[list[str]]:
    with Path(path).open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_awkward_ids_in_a_csv_with_bom_and_crlf_survive_the_whole_chain(chain, invoked, commands):
    """UTF-8 with a byte-order mark, CRLF, quoted commas; 007, 1e5, NA and Unicode as ids."""
    for name, prefix, old in (
        ("train", "", "s0"), ("test", "x", "t"), ("sample", "x", "t"), ("answers", "x", "t")
    ):  # fmt: skip
        path = Path(f"data/{name}.csv")
        path.write_bytes(("\ufeff" + renamed(path.read_text(), prefix, old)).encode())
    wanted = ["x" + name for name in AWKWARD]
    outputs = (
        ("split", "--force"),
        (*commands["train"], "--folds", "folds.csv"),
        ("infer", "new", "-j", "0", "--force"),
        ("tta", "new", "-j", "0"),
        ("pseudolabel", "submissions/preds.csv", "--threshold", "0", "--per-class-cap", "2"),
        ("ensemble",),
        ("recalibrate", "--top-k-head", "1"),
        ("submit", "--zip"),
        ("submit", "--check-only", "submissions/cup.zip"),
        ("score", "submissions/cup.csv", "--answers", "data/answers.csv"),
    )
    for arguments in outputs:
        result = invoked(*arguments, "-q")
        assert result.exit_code == 0, (arguments, result.stderr)
    trained = [row[0] for row in lines("folds.csv")[1:]]
    assert trained[:6] == AWKWARD
    assert sorted(row[0] for row in lines("weights/new/oof.csv")[1:]) == sorted(
        row[0] for row in lines("folds.csv")[1:] if row[4] == "0"
    )
    for name in ("preds", "preds_tta", "ensemble", "recalibrated", "cup"):
        assert [row[0] for row in lines(f"submissions/{name}.csv")[1:]] == wanted
    pseudo = [row[0] for row in lines("pseudo.csv")[1:]]
    assert pseudo and set(pseudo) <= set(wanted)


def test_awkward_class_names_survive_the_whole_chain(chain, invoked, commands, damage):
    """Names with a comma, a blank, quotes, a BOM's neighbour; numbers with leading noughts."""
    names = {"a": "007", "b": "van, small", "c": "Straßenbahn 東"}

    def rename(text: str) -> str:
        rows = list(csv.reader(io.StringIO(text)))
        column = rows[0].index("y")
        for row in rows[1:]:
            row[column] = names[row[column]]
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows(rows)
        return stream.getvalue()

    damage({"data/train.csv": rename, "data/sample.csv": rename, "data/answers.csv": rename})
    for arguments in (
        ("split", "--force"),
        (*commands["train"],),
        ("infer", "new", "-j", "0", "--force"),
        ("recalibrate", "--head-classes", "007"),
        ("submit",),
        ("score", "submissions/cup.csv", "--answers", "data/answers.csv"),
    ):
        result = invoked(*arguments, "-q")
        assert result.exit_code == 0, (arguments, result.stderr)
    assert lines("submissions/preds.csv")[0] == ["id", "007", "Straßenbahn 東", "van, small"]
    assert {row[1] for row in lines("submissions/cup.csv")[1:]} <= set(names.values())


@pytest.mark.parametrize("command", ["infer", "tta"])
def test_batches_of_one_and_beyond_the_data_predict_the_same(chain, invoked, command):
    found = []
    for size in ("1", "1000"):
        result = invoked(command, "-j", "0", "-b", size, "-o", f"{size}.csv", "-q")
        assert (result.exit_code, result.stderr) == (0, "")
        found.append(read_predictions(Path(f"{size}.csv")).probabilities)
    np.testing.assert_allclose(*found, atol=1e-6)


def test_a_batch_beyond_the_data_trains_on_all_of_it(chain, run):
    result = run("train", "-b", "1000", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(lines("weights/new/oof.csv")) == 9


def test_batches_of_one_are_refused_where_they_cannot_learn_and_train_elsewhere(
    refused, invoked, commands
):
    refused(
        (*commands["train"], "-b", "1"),
        2,
        "the batch normalisation of 'test_efficientnet-dual' cannot learn from batches of one "
        "image; take a --batch-size of 2 or more",
    )
    # Layer normalisation looks at one image at a time.
    result = invoked(
        "train", "--model", "test_vit-dual", "--pretrained", "no", "-b", "1", "-j", "0",
        "--epochs", "1", "--run-name", "new", "-q",
    )  # fmt: skip
    assert (result.exit_code, result.stdout, result.stderr) == (0, "weights/new\n", "")
