"""Outputs that exist, folders that cannot be written, and a disk that is full."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from safetensors.torch import save_file

# Every command that writes, and what it writes beside the record.
WRITERS: dict[str, tuple[tuple[str, ...], str]] = {
    "init": (("init", "data"), "comptool.toml"),
    "split": (("split",), "folds.csv"),
    "infer": (("infer", "-j", "0"), "submissions/preds.csv"),
    "tta": (("tta", "-j", "0"), "submissions/preds_tta.csv"),
    "pseudolabel": (("pseudolabel", "--threshold", "0.9"), "pseudo.csv"),
    "recalibrate": (("recalibrate", "--top-k-head", "1"), "submissions/recalibrated.csv"),
    "ensemble": (("ensemble", "submissions/preds.csv"), "submissions/ensemble.csv"),
    "submit": (("submit",), "submissions/cup.csv"),
    "submit --zip": (("submit", "--zip"), "submissions/cup.zip"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_an_output_that_exists(refused, damage, name):
    arguments, output = WRITERS[name]
    damage({output: (lambda text: text) if Path(output).exists() else "days of work"})
    refused(arguments, 3, f"{output}: exists already. Replace it with --force")


def test_a_run_that_exists(refused):
    refused(
        ("train", "--model", "test_efficientnet-dual", "--run-name", "net"),
        3,
        "weights/net: holds a finished run already, made by {}, now without {}. Replace it by "
        "--force, or give another --run-name",
    )


def test_a_practice_competition_that_exists(refused):
    refused(("simulate", "mavoc", "-o", "data"), 3, "data: exists already. Replace it with --force")
    refused(
        ("simulate", "mavoc", "-o", "data", "--force"),
        3,
        "data: is not a practice competition and is not replaced, even with --force",
    )


@pytest.mark.parametrize("name", ["split", "infer", "pseudolabel", "recalibrate", "ensemble"])
@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("data", "data: is a folder; a file is to be written"),
        ("mine.csv/new.csv", "mine.csv: is a file where a folder is needed"),
    ],
)
def test_an_output_that_cannot_be(refused, name, output, message):
    arguments, _ = WRITERS[name]
    refused((*arguments, "-o", output), 3, message)


SUBMIT = ("submit", "--force", "-o")
PSEUDO = ("pseudolabel", "--threshold", "0.9", "--force", "-o")
SPLIT = ("split", "--force", "-o")


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (SUBMIT, "submissions/preds.csv"),
        (SUBMIT, "data/sample.csv"),
        (SUBMIT, "data/train.csv"),
        (("submit", "submissions/preds.csv", "--zip", "--force", "-o"), "data/test.csv"),
        (PSEUDO, "submissions/preds.csv"),
        (PSEUDO, "data/train.csv"),
        (PSEUDO, "data/test.csv"),
        (PSEUDO, "comptool.toml"),
        (SPLIT, "data/train.csv"),
        (SPLIT, "data/test.csv"),
        (("split", "folds.csv", "--force", "-o"), "folds.csv"),
    ],
)
def test_no_output_replaces_an_input(refused, arguments, output):
    told = "is an input of this command and would be lost; name another output: -o FILE"
    refused((*arguments, output), 2, f"{output} {told}")


def test_an_input_is_known_by_another_name(chain, refused):
    Path("link.csv").symlink_to("submissions/preds.csv")
    told = "is an input of this command and would be lost; name another output: -o FILE"
    refused((*SUBMIT, "link.csv"), 2, f"link.csv, which is submissions/preds.csv, {told}")


FULL = ": could not be written (File too large); nothing was changed"


@pytest.mark.parametrize("name", [*WRITERS, "train", "simulate"])
def test_a_folder_that_is_read_only(chain, no_right, unchanged, name):
    arguments = {
        "train": ("train", "--model", "test_efficientnet-dual", "--run-name", "new"),
        "simulate": ("simulate", "mavoc"),
    }.get(name) or WRITERS[name][0]
    folder = Path(WRITERS[name][1]).parent if name in WRITERS else Path(".")
    folder = Path("weights") if name == "train" else folder
    options = ("--force",) if name in WRITERS else ()
    told = f"{folder}: this folder cannot be written to. Write elsewhere"
    unchanged(chain, (*arguments, *options), 3, told)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_changes_nothing(chain, invoked, unchanged, file_limit, name, force):
    """No space at all, and then space for what is written first but not for what follows."""
    arguments, output = WRITERS[name]
    # A zip is made of the CSV, and predictions by views have their out-of-fold rows beside them.
    before = {"submit --zip": "submissions/cup.csv", "tta": "submissions/oof_preds_tta.csv"}
    first = before.get(name, output)
    second = output if name == "submit --zip" else f"{first}.meta.json"
    if name != "init":  # comptool.toml is its own record
        assert invoked(*arguments, "--force").exit_code == 0
        size = Path(first).stat().st_size
        assert size < Path(second).stat().st_size
    if force:
        arguments = (*arguments, "--force")
    else:
        Path(output).unlink()
        Path(first).unlink(missing_ok=True)
    with file_limit(0):
        unchanged(chain, arguments, 3, f"{first}{FULL}")
    if name != "init":
        with file_limit(size):
            unchanged(chain, arguments, 3, f"{second}{FULL}")


def test_training_on_a_full_disk_leaves_nothing(chain, unchanged, file_limit):
    arguments = ("train", "--model", "test_efficientnet-dual", "--pretrained", "no")
    with file_limit(0):
        unchanged(chain, arguments, 3, f"weights/test_efficientnet-dual/run.json{FULL}")


def test_a_disk_that_fills_up_during_training_leaves_a_run_that_goes_on(
    chain, invoked, file_limit, monkeypatch
):
    """There is space for the first state, and none for the best weights beside it."""
    recorded = json.loads(Path("weights/net/run.json").read_text())["arguments"]
    assert (recorded["epochs"], recorded["batch_size"]) == (1, 8)
    arguments = (
        "train", "--model", "test_efficientnet-dual", "--pretrained", "no", "--img-size", "32",
        "--epochs", "1", "-b", "8", "-j", "0", "--run-name", "new", "-q",
    )  # fmt: skip

    def without_space(*given, **options) -> None:
        with file_limit(1000):
            save_file(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr("comptool.models.checkpoint_file.save_file", without_space)
        result = invoked(*arguments)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == f"comptool train: weights/new/best.safetensors{FULL}\n"
    left = {path.name for path in Path("weights/new").iterdir()}
    assert left == {"last.pt", "run.json"}
    assert invoked(*arguments, "--resume").exit_code == 0
    whole, resumed = (load_file(f"weights/{run}/best.safetensors") for run in ("net", "new"))
    assert whole.keys() == resumed.keys()
    assert all((whole[name] == resumed[name]).all() for name in whole)
