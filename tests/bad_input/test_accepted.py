"""What looks odd and is in order.

Awkward ids and CSVs, batches of one, batches beyond the data, images of every size and mode.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from comptool.io.predictions import read_predictions

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


# Pillow's names; the last is 16 bits of grey.
MODES = ("L", "RGB", "RGBA", "P", "1", "LA", "I;16")


@pytest.fixture
def mixed(chain) -> None:
    """Every image has another size than the next, and another mode."""
    random = np.random.default_rng(0)
    for number, path in enumerate(sorted(Path("data").glob("*.png"))):
        size, mode = (9 + 5 * (number % 6), 40 - 7 * (number % 4)), MODES[number % len(MODES)]
        pixels = np.asarray(Image.open(path).resize(size))
        if mode == "I;16":
            image = Image.fromarray(pixels.astype(np.uint16) * 257)
        else:
            colour = np.stack([pixels, 255 - pixels, random.permutation(pixels)], axis=-1)
            image = Image.fromarray(colour).convert(mode)
        image.save(path)
        assert Image.open(path).mode == mode


def test_images_of_every_size_and_mode_train_alike_decoded_once_or_in_every_epoch(mixed, run):
    weights = []
    for cache in ("off", "disk", "ram"):
        result = run("train", "--epochs", "2", "--fold", "none", "--cache", cache, "--force")
        assert (result.exit_code, result.stdout) == (0, "weights/new\n"), result.stderr
        weights.append(load_file("weights/new/best.safetensors"))
    first, *others = weights
    assert all((first[name] == other[name]).all() for other in others for name in first)
    assert {str(tensor.dtype) for tensor in first.values()} <= {"float32", "int64"}
    assert all(np.isfinite(tensor).all() for tensor in first.values())


@pytest.mark.parametrize("command", ["infer", "tta"])
def test_images_of_every_size_and_mode_are_predicted_alike_by_every_backend(
    mixed, invoked, command
):
    found = []
    for options in (("--backend", "torch"), ("--backend", "onnx"), ("-b", "1")):
        name = f"{len(found)}.csv"
        result = invoked(command, "-j", "0", *options, "-o", name, "-q")
        assert (result.exit_code, result.stderr) == (0, "")
        found.append(read_predictions(Path(name)).probabilities)
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-4)
    assert len(np.unique(found[0].round(6), axis=0)) == 6
