"""Files that are not those of their records: interrupted, damaged or edited."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

pytestmark = pytest.mark.usefixtures("unsealed")

PREDS = Path("submissions/preds.csv")
READERS = {
    "recalibrate": ("recalibrate", "--top-k-head", "1"),
    "ensemble": ("ensemble", PREDS),
    "submit": ("submit",),
    "pseudolabel": ("pseudolabel", "--threshold", "0.9"),
    "evaluate": ("evaluate", PREDS, "--answers", "data/answers.csv"),
    "score": ("score", PREDS, "--answers", "data/answers.csv"),
}
CHANGED = (
    "submissions/preds.csv: is not the file that preds.csv.meta.json was written for: it was "
    "changed or damaged. Make it again: comptool infer --workers 0 --force; or delete "
    "submissions/preds.csv.meta.json to use it without its record"
)


def meta(path: Path) -> Path:
    return path.with_name(f"{path.name}.meta.json")


def age(path: Path, seconds: float) -> None:
    """Let a file be so much older than its record."""
    time = meta(path).stat().st_mtime - seconds
    os.utime(path, (time, time))


@pytest.mark.parametrize("reader", READERS)
def test_predictions_whose_rows_still_sum_to_one_are_refused(refused, reader):
    PREDS.write_text(PREDS.read_text().replace("0.98,0.01", "0.01,0.98", 1))
    refused(READERS[reader], 3, CHANGED)


def test_runs_names_predictions_that_are_not_of_their_record(invoked):
    PREDS.write_text(PREDS.read_text().replace("0.98,0.01", "0.01,0.98", 1))
    result = invoked("runs", "--json")
    (file,) = json.loads(result.stdout)["files"]
    assert CHANGED in json.dumps(file)
    assert "weights/net" not in json.dumps(file)


@given(place=st.integers(min_value=0), bits=st.integers(1, 255))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_byte_is_refused_by_every_reader(chain, invoked, place, bits):
    whole = PREDS.read_bytes()
    changed = bytearray(whole)
    changed[place % len(whole)] ^= bits
    try:
        PREDS.write_bytes(changed)
        for arguments in READERS.values():
            result = invoked(*arguments, "-q")
            assert result.exit_code == 3
            assert "is not the file that preds.csv.meta.json was written for" in result.stderr
    finally:
        PREDS.write_bytes(whole)


@pytest.mark.parametrize("seconds", [-1000, 1000])
def test_equal_bytes_are_right_at_any_time(chain, invoked, seconds):
    age(PREDS, seconds)
    age(Path("folds.csv"), seconds)
    for command in ("recalibrate", "evaluate"):
        result = invoked(*READERS[command], "-q")
        assert (result.exit_code, result.stderr) == (0, "")


def test_records_of_older_versions_are_read(chain, invoked):
    for path in Path().rglob("*.meta.json"):
        document = json.loads(path.read_text())
        for key in ("sha256", "size", "options"):
            document.pop(key)
        path.write_text(json.dumps(document))
    run = json.loads(Path("weights/net/run.json").read_text())
    del run["digests"], run["options"]
    Path("weights/net/run.json").write_text(json.dumps(run))
    PREDS.write_text(PREDS.read_text().replace("0.98,0.01", "0.01,0.98", 1))
    for command in READERS:
        assert invoked(*READERS[command], "-q").exit_code == 0
    assert invoked("evaluate", "net", "-q").exit_code == 0


def test_an_edited_table_of_samples_is_used_with_one_warning(chain, invoked):
    folds = Path("folds.csv")
    folds.write_text(folds.read_text().replace("s00,", "s00,", 1) + "\n")
    result = invoked("evaluate", "net")
    assert result.exit_code == 0
    assert result.stderr.splitlines().count(
        "warning: folds.csv was changed after `comptool split` wrote it; it is used as it is, with "
        "what folds.csv.meta.json says"
    ) == 1  # fmt: skip
    assert invoked("evaluate", "net", "-q").stderr == ""


def test_a_table_of_samples_older_than_its_record_is_an_interrupted_write(chain, refused):
    folds = Path("folds.csv")
    folds.write_text(folds.read_text() + "\n")
    age(folds, 1000)
    refused(
        ("evaluate", "net"),
        3,
        "folds.csv: is not the file that folds.csv.meta.json was written for: the writing was "
        "interrupted. Make it again: comptool split --folds 3 --force; or delete "
        "folds.csv.meta.json to use it without its record",
    )


def test_a_file_is_used_without_its_record(chain, invoked):
    PREDS.write_text(PREDS.read_text().replace("0.98,0.01", "0.01,0.98", 1))
    meta(PREDS).unlink()
    assert invoked(*READERS["evaluate"], "-q").exit_code == 0


@pytest.mark.parametrize("name", ["best.safetensors", "oof.csv"])
def test_a_file_of_another_training_is_not_of_this_run(chain, invoked, refused, name):
    """The record beside it may well be its own, as after a copy or between two renames."""
    path = Path("weights/net", name)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    if meta(path).exists():
        meta(path).unlink()
    refused(
        ("evaluate", "net"),
        3,
        f"weights/net/{name}: does not belong to weights/net/run.json: the training was "
        "interrupted while writing, or a file was changed or damaged. Go on with it: comptool "
        "train --run-name net --resume; if that changes nothing, train again with --force",
    )


KILLED = """\
import os, signal, sys
from importlib import import_module
left = int(sys.argv.pop(1))
def watch(event, arguments):
    global left
    # Relative: the caches have full paths.
    if event == "os.rename" and not os.path.isabs(arguments[1]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
app = import_module("comptool.commands.app")
sys.addaudithook(watch)
app.main()
"""


def killed(rename: int, *arguments: object) -> None:
    """Run the program and kill it before its n-th rename."""
    end = subprocess.run(
        [sys.executable, "-c", KILLED, str(rename), *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert end.returncode == -signal.SIGKILL, end.stderr


@pytest.mark.parametrize(
    ("first", "command", "output", "reader"),
    [
        ((), ("infer", "--workers", "0", "--force"), str(PREDS), READERS["recalibrate"]),
        (
            READERS["recalibrate"],
            ("recalibrate", "--top-k-head", "2", "--force"),
            "submissions/recalibrated.csv",
            ("submit",),
        ),
        ((), ("split", "--folds", "2", "--force"), "folds.csv", ("evaluate", "net")),
    ],
)
def test_kill_9_between_the_renames_is_seen_and_mended(
    chain, invoked, first, command, output, reader
):
    if first:
        assert invoked(*first, "-q").exit_code == 0
    before = Path(output).read_bytes()
    killed(2, *command)
    assert Path(output).read_bytes() == before
    result = invoked(*reader, "-q")
    assert result.exit_code == 3
    assert f"{output}: is not the file that" in result.stderr
    again = " ".join(command)
    assert f"the writing was interrupted. Make it again: comptool {again}" in result.stderr
    assert list(Path(output).parent.glob(".*.partial*"))
    assert invoked(*command, "-q").exit_code == 0
    assert Path(output).read_bytes() != before
    assert not list(Path(output).parent.glob(".*.partial*"))
    assert "is not the file" not in invoked(*reader, "-q").stderr


def test_kill_9_before_the_first_rename_leaves_a_pair_that_belongs_together(chain, invoked):
    assert invoked(*READERS["recalibrate"], "-q").exit_code == 0
    killed(1, "recalibrate", "--top-k-head", "2", "--force")
    assert invoked("submit", "-q").exit_code == 0


# Renames of a run without validation: run.json, last.pt; of an epoch run.json, metrics.csv,
# best.safetensors and last.pt.
def test_kill_9_between_the_files_of_an_epoch_is_seen_and_mended(chain, commands, invoked):
    command = (*commands["train"][:-1], "two", "--epochs", "2", "--fold", "none", "-q")
    killed(9, *command)  # run.json and metrics.csv are of the second epoch
    result = invoked("infer", "two", "-j", "0", "-o", "two.csv", "-q")
    broken = "weights/two/best.safetensors: does not belong to weights/two/run.json"
    assert (result.exit_code, broken in result.stderr) == (3, True)
    assert f"broken: {broken}" in invoked("runs").stdout
    assert invoked("train", "--run-name", "two", "--resume", "-q").exit_code == 0
    assert invoked("infer", "two", "-j", "0", "-o", "two.csv", "--force", "-q").exit_code == 0
    assert invoked(*command[:-6], "whole", *command[-5:]).exit_code == 0
    left, right = (load_file(f"weights/{run}/best.safetensors") for run in ("two", "whole"))
    assert all((left[name] == right[name]).all() for name in left)


def test_an_edited_table_that_was_checked_out_with_its_record(chain, invoked):
    """Which of the two is older is then chance: here it is the table, by a moment."""
    folds = Path("folds.csv")
    folds.write_text(folds.read_text() + "\n")
    later = meta(folds).stat().st_mtime + 3600
    os.utime(meta(folds), (later, later))
    age(folds, 0.001)
    result = invoked("train", "--model", "test_efficientnet-dual", "--pretrained", "no",
                     "--img-size", "32", "--dry-run", "--run-name", "new")  # fmt: skip
    assert result.exit_code == 0
    assert "warning: folds.csv was changed after `comptool split` wrote it" in result.stderr


def test_a_table_that_was_checked_out_is_not_called_interrupted(refused):
    PREDS.write_text(PREDS.read_text().replace("0.98,0.01", "0.01,0.98", 1))
    later = meta(PREDS).stat().st_mtime + 3600
    os.utime(meta(PREDS), (later, later))
    age(PREDS, 0.001)
    refused(READERS["recalibrate"], 3, CHANGED)
