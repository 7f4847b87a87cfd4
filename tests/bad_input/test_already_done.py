"""The same command again, after it was killed when its output was whole, or by mistake."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import pytest

from comptool.io.locks import hold

pytestmark = pytest.mark.usefixtures("unsealed")

PREDS = "submissions/preds.csv"
WRITERS = {
    "split": (("split", "--folds", "3", "-o", "new.csv"), ["new.csv"]),
    "infer": (("infer", "-j", "0", "-o", "new.csv"), ["new.csv"]),
    "tta": (("tta", "-j", "0", "-o", "new.csv"), ["new.csv", "oof_new.csv"]),
    "pseudolabel": (("pseudolabel", "--threshold", "0.9"), ["pseudo.csv"]),
    "recalibrate": (("recalibrate", "--top-k-head", "1"), ["submissions/recalibrated.csv"]),
    "ensemble": (("ensemble", PREDS), ["submissions/ensemble.csv"]),
    "submit": (("submit",), ["submissions/cup.csv"]),
    "submit --zip": (("submit", "--zip"), ["submissions/cup.zip", "submissions/cup.csv"]),
}


def files() -> dict[str, tuple[int, int]]:
    """Inode and time of change of every file: none is written again."""
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in Path().rglob("*")
        if path.is_file() and path.suffix != ".onnx"
    }


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_command_again_is_done(invoked, name):
    command, written = WRITERS[name]
    first = invoked(*command)
    assert first.exit_code == 0
    before = files()
    again = invoked(*command)
    assert again.exit_code == 0
    assert again.stdout == first.stdout
    assert again.stderr.splitlines()[-1].startswith(f"comptool {command[0]}: already done: ")
    assert written[0] in again.stderr.splitlines()[-1]
    told = json.loads(invoked(*command, "--json", "-q").stdout)
    assert told == {"output": written[0], "already_done": True}
    assert invoked(*command, "-q").stderr == ""
    assert files() == before


@pytest.mark.parametrize("name", ["submit --zip", "tta"])
def test_one_of_two_outputs_is_missing(invoked, name):
    command, (first, second) = WRITERS[name]
    assert invoked(*command, "-q").exit_code == 0
    whole = [Path(path).read_bytes() for path in (first, second)]
    Path(second).unlink()
    again = invoked(*command)
    assert (again.exit_code, "already done" in again.stderr) == (0, False)
    assert [Path(path).read_bytes() for path in (first, second)] == whole


def test_other_options_are_named(invoked, refused):
    assert invoked("split", "--folds", "3", "-o", "new.csv", "-q").exit_code == 0
    refused(
        ("split", "--folds", "2", "--seed", "1", "-o", "new.csv"),
        3,
        "new.csv: exists already, made by `comptool split --folds 3 --output new.csv`, now "
        "`--seed 1 --folds 2`. Replace it with --force",
    )
    refused(
        ("split", "-o", "new.csv"),
        3,
        "new.csv: exists already, made by `comptool split --folds 3 --output new.csv`, now without "
        "--folds. Replace it with --force",
    )
    refused(
        ("infer", "-o", "new.csv"),
        3,
        "new.csv: exists already, made by `comptool split --folds 3 --output new.csv`. Replace it "
        "with --force",
    )


def test_another_input_is_named(invoked, refused, damage):
    for command in ("split", "infer"):
        assert invoked(*WRITERS[command][0][:-1], f"{command}.csv", "-q").exit_code == 0
    damage({name: (lambda text: text + "\n") for name in ("data/train.csv", "data/test.csv")})
    for command, table in (("split", "train"), ("infer", "test")):
        refused(
            (*WRITERS[command][0][:-1], f"{command}.csv"),
            3,
            f"{command}.csv: exists already, made before data/{table}.csv changed. Replace it with "
            "--force",
        )


def test_the_latest_run_is_another_now(invoked, commands, refused):
    assert invoked("infer", "-j", "0", "-o", "new.csv", "-q").exit_code == 0
    assert invoked(*commands["train"], "--seed", "1", "-q").exit_code == 0
    refused(
        ("infer", "-j", "0", "-o", "new.csv"),
        3,
        "new.csv: exists already, made without weights/new/best.safetensors. Replace it with "
        "--force",
    )


def test_an_edited_output_or_one_of_another_version_is_not_done(invoked, refused):
    command = ("split", "--folds", "3", "-o", "new.csv")
    assert invoked(*command, "-q").exit_code == 0
    meta = Path("new.csv.meta.json")
    record = json.loads(meta.read_text())
    versions = record["versions"] | {"comptool": "0.0.9"}
    meta.write_text(json.dumps(record | {"versions": versions}))
    end = "Replace it with --force"
    refused(command, 3, f"new.csv: exists already, made by comptool 0.0.9. {end}")
    meta.write_text(json.dumps({**record, "options": None}))
    refused(command, 3, f"new.csv: exists already. {end}")
    meta.write_text(json.dumps(record))
    Path("new.csv").write_text(Path("new.csv").read_text() + "\n")
    refused(command, 3, f"new.csv: exists already, and was changed since comptool wrote it. {end}")
    assert invoked(*command, "--force", "-q").exit_code == 0


def test_force_makes_it_again(invoked):
    command = WRITERS["recalibrate"][0]
    assert invoked(*command, "-q").exit_code == 0
    before = files()
    result = invoked(*command, "--force")
    assert (result.exit_code, "already done" in result.stderr) == (0, False)
    assert files() != before


NET = ("train", "--model", "test_efficientnet-dual", "--pretrained", "no", "--img-size", "32",
       "-j", "0", "--epochs", "1", "-b", "8", "--run-name", "net")  # fmt: skip
OTHER = "replace it by --force, or give another --run-name"


def test_a_finished_run_is_done(invoked, refused, damage):
    before = files()
    result = invoked(*NET)
    assert (result.exit_code, result.stdout) == (0, "weights/net\n")
    assert result.stderr.splitlines()[-1] == "comptool train: already done: weights/net"
    assert files() == before
    refused(
        (*NET, "--seed", "1"),
        3,
        "weights/net: holds a finished run already, made by `comptool train --workers 0 "
        "--model test_efficientnet-dual --epochs 1 --batch-size 8 --img-size 32 --pretrained no "
        f"--run-name net`, now `--seed 1`. {OTHER.capitalize()}",
    )
    damage({"data/train.csv": lambda text: text, "folds.csv": lambda text: text + "\n"})
    refused(
        NET,
        3,
        "weights/net: holds a finished run already, trained before folds.csv changed. "
        f"{OTHER.capitalize()}",
    )


def test_a_finished_run_whose_metrics_were_changed(refused):
    metrics = Path("weights/net/metrics.csv")
    metrics.write_text(metrics.read_text() + "\n")
    refused(
        NET,
        3,
        "weights/net: holds a finished run already, whose files were changed. "
        f"{OTHER.capitalize()}",
    )


@pytest.mark.parametrize("state", ["stopped", "killed"])
def test_an_unfinished_run_is_to_be_resumed(refused, state):
    path = Path("weights/net/run.json")
    run = json.loads(path.read_text())
    run |= {"state": "stopped"} if state == "stopped" else {"state": "running", "held": True}
    path.write_text(json.dumps(run))
    refused(
        NET,
        3,
        f"weights/net: holds a run that is not finished ({state}). Go on with it by --resume, "
        f"{OTHER}",
    )


def test_a_run_in_training_is_to_be_waited_for(invoked):
    """Neither --resume nor --force could have it."""
    with hold(Path("weights/net")):
        result = invoked(*NET)
    assert result.exit_code == 3
    assert f"weights/net: process {os.getpid()} on " in result.stderr
    assert result.stderr.endswith("is at work in it. Wait for it, or stop it\n")
    assert "--force" not in result.stderr


def repaint(path: str) -> None:
    """Another image, two seconds later."""
    seen = Path(path).stat()
    cv2.imwrite(path, 255 - cv2.imread(path, cv2.IMREAD_UNCHANGED))
    os.utime(path, (seen.st_atime, seen.st_mtime + 2))


def test_images_that_changed_are_predicted_again(invoked, refused):
    for command in ("infer", "tta"):
        words = (command, "-j", "0", "-o", f"{command}.csv")
        assert invoked(*words, "-q").exit_code == 0
        repaint("data/sar_t0.png")
        refused(
            words,
            3,
            f"{command}.csv: exists already, made of other images, or before they or their reader "
            "were changed or copied. Replace it with --force",
        )


def test_other_columns_of_images_are_predicted_again(invoked, refused):
    words = ("infer", "-j", "0", "-o", "new.csv")
    assert invoked(*words, "-q").exit_code == 0
    toml = Path("comptool.toml")
    toml.write_text(toml.read_text().replace('eo = "eo"', 'eo = "sar"'))
    refused(words, 3, "new.csv: exists already, made of other images, or before they or their "
            "reader were changed or copied. Replace it with --force")  # fmt: skip


def test_a_run_of_images_that_changed_since(refused):
    repaint("data/sar_s00.png")
    refused(
        NET,
        3,
        "weights/net: holds a finished run already, trained on other rows or images, or before "
        f"they or their reader were changed or copied. {OTHER.capitalize()}",
    )


@pytest.mark.parametrize("place", ["comptool.toml", "COMPTOOL_METRIC"])
def test_a_run_that_was_validated_by_another_metric(refused, monkeypatch, place):
    if place == "COMPTOOL_METRIC":
        monkeypatch.setenv(place, "macro-f1")
    else:
        toml = Path(place)
        toml.write_text(toml.read_text().replace("accuracy", "macro-f1"))
    refused(
        NET,
        3,
        "weights/net: holds a finished run already, validated by accuracy, now macro-f1. "
        f"{OTHER.capitalize()}",
    )
