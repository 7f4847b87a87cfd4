"""Run folders, read without torch."""

from __future__ import annotations

import json
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from comptool.errors import InputError
from comptool.io.locks import hold
from comptool.io.records import header_of
from comptool.io.runs import check_finished, find_run, members, read_header, read_state

HEADER = {
    "format": 1, "model": {"name": "resnet34", "options": {}}, "task": "multiclass",
    "classes": ["a", "b"], "class_counts": {"a": 1, "b": 2}, "modalities": ["x"],
    "img_size": {"x": [8, 8]}, "channels": {"x": 3},
    "mean": {"x": [0, 0, 0]}, "std": {"x": [1, 1, 1]},
}  # fmt: skip


def checkpoint(header=HEADER, key="comptool") -> bytes:
    """A safetensors file of one weight, put together by hand."""
    entries = {
        "__metadata__": {key: json.dumps(header)},
        "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    }
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + bytes(8)


def make_run(folder: Path, content: bytes | None = None, time: int = 1000) -> Path:
    folder.mkdir(parents=True)
    path = folder / "best.safetensors"
    path.write_bytes(checkpoint() if content is None else content)
    os.utime(path, (time, time))
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_is_found_by_name_folder_or_checkpoint():
    run = make_run(Path("weights/first"))
    elsewhere = make_run(Path("old/second"))
    assert find_run("first") == run
    assert find_run("weights/first") == run
    assert find_run(run / "best.safetensors") == run
    assert find_run("old/second") == elsewhere
    assert find_run(elsewhere.resolve()) == elsewhere.resolve()
    assert find_run("second", Path("old")) == elsewhere


def test_without_a_name_the_newest_checkpoint_counts():
    make_run(Path("weights/b"), time=3000)
    make_run(Path("weights/a"), time=2000)
    assert find_run() == Path("weights/b")
    make_run(Path("weights/folded/fold-1"), time=4000)
    make_run(Path("weights/folded/fold-0"), time=1000)
    assert find_run() == Path("weights/folded")


def test_no_run_says_how_to_make_one():
    with pytest.raises(InputError) as refusal:
        find_run()
    assert str(refusal.value) == "weights: no trained run here. Make one: comptool train"


def test_an_unknown_run_names_the_nearest():
    make_run(Path("weights/mobilenetv2-dual"))
    with pytest.raises(InputError) as refusal:
        find_run("mobilenetv2-daul")
    assert str(refusal.value) == (
        "weights: no trained run is called 'mobilenetv2-daul'. Did you mean mobilenetv2-dual?"
    )


def test_a_run_without_a_checkpoint_says_how_to_go_on():
    Path("weights/half").mkdir(parents=True)
    Path("weights/half/last.pt").touch()
    with pytest.raises(InputError) as refusal:
        find_run("half")
    assert str(refusal.value) == (
        "weights/half: has no best checkpoint yet. Go on with: comptool train --run-name half "
        "--resume"
    )


def test_a_run_in_its_first_epoch_is_waited_for():
    Path("weights/half").mkdir(parents=True)
    Path("weights/half/last.pt").touch()
    with hold(Path("weights/half")), pytest.raises(InputError) as refusal:
        find_run("half")
    assert str(refusal.value) == (
        f"weights/half: has no best checkpoint yet. Wait for process {os.getpid()} on "
        f"{platform.node()}, which is training it"
    )


def test_members_come_in_the_order_of_their_folds():
    for fold in (10, 2, 0):
        make_run(Path(f"weights/run/fold-{fold}"))
    Path("weights/run/fold-of-paper").mkdir()
    names = [member.name for member in members(Path("weights/run"))]
    assert names == ["fold-0", "fold-2", "fold-10"]
    single = make_run(Path("weights/single"))
    assert members(single) == [single]


def test_a_member_that_is_not_finished_is_named():
    make_run(Path("weights/run/fold-0"))
    Path("weights/run/fold-1").mkdir()
    with pytest.raises(InputError) as refusal:
        members(Path("weights/run"))
    assert str(refusal.value) == (
        "weights/run/fold-1: has no best checkpoint yet. Go on with: comptool train --run-name run "
        "--resume"
    )
    with pytest.raises(InputError, match=r"has no best\.safetensors"):
        members(Path("weights"))


def note(folder: str, state: str, **facts) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, "run.json").write_text(json.dumps({"state": state, **facts}))


def test_folds_that_are_still_to_be_trained_are_counted():
    make_run(Path("weights/k/fold-0"))
    make_run(Path("weights/k/fold-1"))
    note("weights/k", "running", num_folds=3)
    note("weights/k/fold-0", "finished")
    note("weights/k/fold-1", "stopped")
    with pytest.raises(InputError) as refusal:
        check_finished(Path("weights/k"))
    assert str(refusal.value) == (
        "weights/k: 1 of 3 folds are finished. Go on with: comptool train --run-name k --resume"
    )
    assert check_finished(Path("weights/k/fold-0")) is None


def test_a_folded_run_is_finished_when_its_folds_are():
    for fold in (0, 1):
        make_run(Path(f"weights/k/fold-{fold}"))
        note(f"weights/k/fold-{fold}", "finished")
    assert check_finished(Path("weights/k")) is None  # copied without its record
    note("weights/k", "running", num_folds=2)
    assert check_finished(Path("weights/k")) is None  # only the joined oof.csv is lacking
    note("weights/k", "finished", num_folds=2)
    assert check_finished(Path("weights/k")) is None


@pytest.mark.parametrize("state", ["stopped", "running"])
def test_a_run_that_is_not_finished_can_be_used_and_is_told(state):
    run = make_run(Path("weights/one"))
    assert check_finished(run) is None
    note("weights/one", state)
    assert check_finished(run) == (
        f"weights/one is not finished ({state}); its best checkpoint so far is used. Go on with: "
        "comptool train --run-name one --resume"
    )
    note("weights/one", "finished")
    assert check_finished(run) is None
    Path("weights/one/run.json").write_text("[")
    assert check_finished(run) == (
        "weights/one/run.json: is not readable as JSON (Expecting value: line 1 column 2 (char 1));"
        " whether weights/one is finished is unknown, its best checkpoint is used"
    )


def test_a_run_whose_process_is_no_more_was_killed():
    make_run(Path("weights/one"))
    note("weights/one", "running", held=True)
    assert read_state(Path("weights/one")) == "killed"
    assert "is not finished (killed); its best" in check_finished(Path("weights/one"))
    with hold(Path("weights/one")):
        assert read_state(Path("weights/one")) == "running"


def test_a_fold_lives_with_the_run_that_it_is_a_fold_of():
    make_run(Path("weights/k/fold-0"))
    for folder in ("weights/k", "weights/k/fold-0"):
        note(folder, "running", held=True, num_folds=3)
    with hold(Path("weights/k")):
        assert read_state(Path("weights/k/fold-0")) == "running"
    assert read_state(Path("weights/k/fold-0")) == "killed"
    assert read_state(Path("weights/k")) == "killed, 0 of 3 folds finished"


def test_the_header_is_read_from_folder_and_file():
    run = make_run(Path("weights/run"))
    assert read_header(run) == header_of(HEADER, run)
    assert read_header(run / "best.safetensors") == header_of(HEADER, run)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04\x95",
        checkpoint()[:-1],
        checkpoint()[:40],
        b"\xff" * 64,
        b"PK\x03\x04" + bytes(200),
    ],
    ids=["empty", "pickle", "cut-in-weights", "cut-in-header", "noise", "zip"],
)
def test_a_damaged_checkpoint_is_refused(content):
    run = make_run(Path("weights/run"), content)
    with pytest.raises(InputError) as refusal:
        read_header(run)
    assert str(refusal.value).startswith(
        "weights/run/best.safetensors: is not a readable checkpoint, it may be truncated or of "
        "another kind ("
    )


def test_weights_of_another_program_are_refused():
    run = make_run(Path("weights/run"), checkpoint(key="other"))
    with pytest.raises(InputError) as refusal:
        read_header(run)
    assert str(refusal.value) == (
        "weights/run/best.safetensors: holds weights without comptool's header"
    )


def test_a_header_of_another_format_is_refused():
    run = make_run(Path("weights/run"), checkpoint(HEADER | {"format": 9}))
    with pytest.raises(InputError) as refusal:
        read_header(run)
    assert str(refusal.value) == (
        "weights/run/best.safetensors: its header is not of format 1 (found '9'). Use the version "
        "of comptool that wrote it"
    )


def test_a_header_that_lacks_something_is_refused():
    run = make_run(Path("weights/run"), checkpoint({"format": 1, "model": {}, "task": "x"}))
    with pytest.raises(InputError, match="its header lacks classes, class_counts, modalities"):
        read_header(run)


def test_reading_a_header_imports_no_torch():
    run = make_run(Path("weights/run")).resolve()
    code = (
        "import sys; from pathlib import Path; from comptool.io.runs import read_header\n"
        f"read_header(Path({str(run)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
