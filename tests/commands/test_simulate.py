"""``comptool simulate`` as it is typed: bytes, options, and what stands there already."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

SMALL = ("--scale", "0.001")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The practice competition of seed 0, drawn by the real program in one process."""
    folder = tmp_path_factory.mktemp("made")
    run = subprocess.run(
        [sys.executable, "-m", "comptool", "simulate", "mavoc", *SMALL, "-j", "1"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    counts = "234, 28, 20, 20, 20, 20, 20, 20, 20, 20"
    assert (run.returncode, run.stdout, run.stderr) == (
        0, "mavoc\n", f"422 training pairs ({counts}), 60 test\n"
    )  # fmt: skip
    return folder / "mavoc"


def test_the_bytes_follow_from_the_seed_and_not_from_the_processes(made, program, tmp_path):
    again = program("simulate", "mavoc", *SMALL, "--seed", "0", "-j", "2", "-o", "again", "-q")
    assert (again.returncode, again.stdout, again.stderr) == (0, "again\n", "")
    assert digests(tmp_path / "again") == digests(made)


def test_another_seed_draws_everything_anew(made, comptool, tmp_path):
    assert comptool("simulate", "mavoc", *SMALL, "--seed", "1", "-j", "1", "-q").exit_code == 0
    other, first = digests(tmp_path / "mavoc"), digests(made)
    assert len(other) == len(first)
    drawn = {name for name in other if not Path(name).name.startswith(("SAR_", "README"))}
    # Not one EO chip and no table; a SAR chip may be all zero twice.
    assert {other[name] for name in drawn}.isdisjoint(first.values())
    assert other["README.txt"] == first["README.txt"]


def test_looks_change_the_radar_chips_and_nothing_else(made, comptool, tmp_path):
    result = comptool("simulate", "mavoc", *SMALL, "--looks", "16", "-j", "1", "-o", "smooth", "-q")
    assert result.exit_code == 0
    smooth, first = digests(tmp_path / "smooth"), digests(made)
    changed = {name for name in first if smooth[name] != first[name]}
    radar = {name for name in first if Path(name).name.startswith("SAR_")}
    blank = {name for name in radar if not cv2.imread(str(made / name), -1).any()}
    assert radar - blank <= changed <= radar
    record = json.loads(Path("smooth.meta.json").read_text())
    assert record["arguments"] == {"name": "mavoc", "scale": 0.001, "seed": 0, "looks": 16}


def test_the_record_stands_beside_the_folder(made):
    record = json.loads(made.with_name("mavoc.meta.json").read_text())
    assert record["command"] == "simulate"
    facts = record["facts"]
    assert facts["metric"] == "accuracy"
    assert facts["class_counts"] == dict(zip("0123456789", [234, 28, *[20] * 8], strict=True))
    assert facts["class_names"][5:8] == ["motorcycle", "flatbed truck", "bus"]


def test_the_chain_understands_the_folder(made, comptool):
    """What an organiser hands out is detected without a word."""
    assert comptool("init", made, "-q").exit_code == 0
    facts = Path("comptool.toml").read_text()
    for line in ('metric = "accuracy"', 'id = "image_id"', 'label = "class_id"',
                 'sar = "sar_path"', 'eo = "eo_path"'):  # fmt: skip
        assert line in facts
    assert "answers" not in facts


@pytest.mark.parametrize("answers", ["gone", "poisoned"])
def test_no_other_command_reads_the_answers(made, comptool, answers, tmp_path):
    """A folder without answers, or with wrong ones, gives the same as the whole one."""
    outcomes = []
    for name in ("whole", "spoilt"):
        work = tmp_path / name / "cup"
        (work / "data").mkdir(parents=True)
        for entry in made.iterdir():
            if entry.name != "answers.csv" or name == "whole":
                (work / "data" / entry.name).symlink_to(entry)
        if name == "spoilt" and answers == "poisoned":
            (work / "data" / "answers.csv").write_bytes(b"\xff\x00,\n")
        os.chdir(work)
        outcomes.append(chain(comptool))
    assert outcomes[0] == outcomes[1]


def chain(comptool) -> dict[str, object]:
    """Every command that looks at the download, and what it said and wrote."""
    said = {}
    ids = [line.split(",")[0] for line in Path("data/test.csv").read_text().splitlines()[1:]]
    header = ",".join(["image_id", *"0123456789"])
    rows = "\n".join(f"{name},1{',0' * 9}" for name in ids)
    Path("submissions").mkdir()
    Path("submissions/preds.csv").write_text(f"{header}\n{rows}\n")
    for command in (
        ("init", "data"),
        ("split", "--balance", "under"),
        ("train", "--pretrained", "no", "--dry-run"),
        ("pseudolabel", "--threshold", "0.5"),
        ("recalibrate", "--head-classes", "0"),
        ("ensemble",),
        ("submit", "--zip"),
    ):
        result = comptool(*command)
        assert result.exit_code == 0, (command, result.stderr)
        said[command[0]] = result.stdout + result.stderr
    tables = ("comptool.toml", "folds.csv", "pseudo.csv", "submissions/cup.csv")
    return said | {name: Path(name).read_bytes() for name in tables}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["mavok"],
            2,
            "no practice competition is called 'mavok'; did you mean 'mavoc'",
        ),
        (["mavoc", "--scale", "0"], 2, "--scale is 0.0; it has to be above 0 and at most 1"),
        (["mavoc", "--scale", "1.5"], 2, "--scale is 1.5; it has to be above 0 and at most 1"),
        (["mavoc", "--scale", "nan"], 2, "--scale is nan; it has to be above 0 and at most 1"),
        (["mavoc", "-o", "file/x"], 3, "file: is a file where a folder is needed"),
        (["mavoc", "-o", "file"], 3, "file: exists already. Replace it with --force"),
        (
            ["mavoc", "-o", "file", "--force"],
            3,
            "file: is not a practice competition and is not replaced, even with --force",
        ),
        (["mavoc", "-o", "mine"], 3, "mine: exists already. Replace it with --force"),
        (
            ["mavoc", "-o", "mine", "--force"],
            3,
            "mine: is not a practice competition and is not replaced, even with --force",
        ),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(comptool, tmp_path, arguments, code, message):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("ten years of work")
    Path("file").write_text("x")
    before = digests(tmp_path)
    for more in ([], ["--dry-run"]):
        result = comptool("simulate", *arguments, *more)
        assert (result.exit_code, result.stdout) == (code, "")
        assert result.stderr.startswith(f"comptool simulate: {message}")
        assert len(result.stderr.splitlines()) == 1
    assert digests(tmp_path) == before


def test_a_folder_of_another_command_is_not_replaced(comptool):
    Path("run").mkdir()
    Path("run/best.safetensors").write_text("days of training")
    Path("run.meta.json").write_text('{"command": "train"}')
    result = comptool("simulate", "mavoc", "-o", "run", "--force")
    assert result.exit_code == 3
    assert Path("run/best.safetensors").read_text() == "days of training"


def test_force_replaces_a_practice_competition_whole(comptool, made, tmp_path):
    assert comptool("simulate", "mavoc", *SMALL, "--seed", "5", "-j", "1", "-q").exit_code == 0
    result = comptool("simulate", "mavoc", *SMALL, "-j", "1", "-q", "--force")
    assert (result.exit_code, result.stdout) == (0, "mavoc\n")
    assert digests(tmp_path / "mavoc") == digests(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mavoc", "mavoc.meta.json"]


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("comptool.toml", "comptool.toml"),
        ("weights/run/best.safetensors", "weights"),
        ("train/0/notes.txt", "train"),
    ],
)
def test_force_never_deletes_what_somebody_put_there(comptool, made, tmp_path, place, named):
    shutil.copytree(made, "mavoc")
    shutil.copy(made.with_name("mavoc.meta.json"), ".")
    own = Path("mavoc", place)
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("mine")
    before = digests(tmp_path)
    for more in ([], ["--dry-run"]):
        result = comptool("simulate", "mavoc", *SMALL, "-j", "1", "-q", "--force", *more)
        assert (result.exit_code, result.stdout, result.stderr) == (
            3,
            "",
            "comptool simulate: mavoc: holds other files than comptool put there, and is not "
            f"replaced, even with --force (found '{named}'). Move them away, or give another -o\n",
        )
    assert digests(tmp_path) == before


def test_a_record_left_behind_gives_no_right_to_a_folder_of_its_name(comptool, made):
    """The practice folder is gone, and the real download stands in its place."""
    shutil.copy(made.with_name("mavoc.meta.json"), ".")
    Path("mavoc/train/0").mkdir(parents=True)
    Path("mavoc/train/0/SAR_real.png").write_text("real")
    result = comptool("simulate", "mavoc", *SMALL, "-j", "1", "-q", "--force")
    assert result.exit_code == 3
    assert Path("mavoc/train/0/SAR_real.png").read_text() == "real"


def test_a_dry_run_writes_nothing(comptool, tmp_path):
    result = comptool("simulate", "mavoc", "--dry-run", "--scale", "0.5")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == ("would write the practice competition 'mavoc' at scale 0.5 to mavoc\n")
    assert list(tmp_path.iterdir()) == []
