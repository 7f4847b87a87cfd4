"""Steps of real commands on generated images: what is told of them, and that nothing is kept."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from comptool.io.records import ModelRecord

TRAIN = ("--model", "test_efficientnet-dual", "--pretrained", "no", "--img-size", "32", "-b", "4")
HERE = ("--device", "cpu", "-j", "0", "-q", "--json")


@pytest.fixture
def profiled(pairs, comptool):
    """What ``profile`` says: ``profiled("train", ...)``; the working folder stays as it is."""
    import torch

    torch.set_num_threads(1)

    def run(*arguments: object) -> dict:
        before = listing()
        command, *rest = arguments
        result = comptool("profile", command, *HERE, *rest)
        assert result.exit_code == 0, result.output
        assert listing() == before
        return json.loads(result.stdout)

    run.make = pairs
    return run


def listing() -> dict[str, int]:
    """Every file below the working folder, and when it was written."""
    return {str(path): path.stat().st_mtime_ns for path in Path().rglob("*")}


def added_up(document: dict) -> float:
    return sum(document["milliseconds"].values())


def test_a_training_is_told_by_phases_that_add_up_to_its_step(profiled):
    said = profiled("train", "--steps", 3, *TRAIN)
    assert list(said["milliseconds"]) == [
        "decode", "augment", "collate", "idle", "transfer", "forward", "backward", "optimizer",
        "other",
    ]  # fmt: skip
    assert added_up(said) == pytest.approx(said["milliseconds_per_step"], abs=0.01)
    assert min(said["milliseconds"].values()) >= 0
    assert said["milliseconds"]["backward"] > 0 < said["milliseconds"]["optimizer"]
    # 9 of 12 rows are trained on: batches of 4 and 4, and one image that is left out.
    assert (said["command"], said["device"], said["steps"]) == ("train", "cpu", 3)
    assert said["images_per_step"] == 4
    seconds = said["milliseconds_per_step"] / 1000
    assert said["images_per_second"] == pytest.approx(4 / seconds, rel=0.01)
    assert said["share_of_ceiling"] == pytest.approx(
        said["images_per_second"] / said["ceiling_images_per_second"], rel=0.01
    )
    assert said["advice"]


def test_no_more_loaders_are_advised_than_training_takes_by_itself(profiled, monkeypatch):
    for room in ("data.loader", "profiling.measure"):
        monkeypatch.setattr(f"comptool.{room}.usable_cores", lambda: 2)
    said = profiled("train", "--steps", 2, *TRAIN, "--cache", "off")
    assert "--workers" not in " ".join(said["advice"])


def test_an_update_of_several_batches_is_one_step(profiled):
    said = profiled("train", *TRAIN, "--grad-accum", 2, "--steps", 2)
    assert said["images_per_step"] == 8


def test_worker_processes_load_beside_the_step(profiled):
    said = profiled("train", *TRAIN, "--steps", 2, "--workers", 1, "--cache", "off")
    assert said["loaders"] == 1
    assert set(said["milliseconds_beside"]) == {"decode", "collate"}
    assert said["milliseconds_beside"]["decode"] > 0
    assert "decode" not in said["milliseconds"]
    assert said["milliseconds"]["augment"] > 0


def test_a_policy_of_a_file_is_work_of_the_worker_processes(profiled):
    Path("own.json").write_text('{"transform": {"__class_fullname__": "Transpose", "p": 1}}')
    options = ("--steps", 2, "--workers", 1, "--augment", "own.json")
    said = profiled("train", *TRAIN, *options)
    assert set(said["milliseconds_beside"]) == {"decode", "augment", "collate"}
    assert "augment" not in said["milliseconds"]


def test_batches_that_are_gathered_on_the_device_are_work_of_the_step(pairs):
    """Where the images lie on a GPU; here they lie in this machine's memory."""
    from comptool.data.gpu_dataset import ResidentBatches
    from comptool.profiling.measure import profile_session
    from comptool.training.data import make_plan
    from comptool.training.distributed import joined
    from comptool.training.resume import run_folder, settle
    from comptool.training.setup import prepare

    given = {"model": "test_efficientnet-dual", "img_size": ("32",), "pretrained": "no"}
    run = run_folder("run", "", None)
    settings, files = settle(run, given | {"batch_size": 4, "device": "cpu"}, resume=False)
    plan = make_plan(settings, files, run)
    with joined("cpu") as processes:
        session = prepare(plan, plan.members[0], processes, print).session
        session.train_loader = ResidentBatches(
            session.datasets[0], session.batches, processes.device
        )
        profile = profile_session(session, 2, print)
    assert "augment" in profile.phases
    assert profile.loading is None
    assert profile.waited == profile.phases["idle"] == 0
    assert profile.document()["milliseconds_beside"] == {}


def test_whether_compilation_pays_is_left_for_the_training_to_find_out(
    pairs, comptool, tmp_path, monkeypatch
):
    from comptool.training import autotune, tuning_cache

    def seconds(config):
        assert not config.compiled
        return 1.0

    monkeypatch.setenv("COMPTOOL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(autotune, "LEAST_STEPS", 1)
    monkeypatch.setattr(autotune, "Benchmark", lambda *given: seconds)
    long = ("profile", "train", "--steps", 1, *TRAIN, "--epochs", 100_000, *HERE)
    said = json.loads(comptool(*long).stdout)
    assert "--compile on measures one here" in " ".join(said["advice"])
    (kept,) = (tmp_path / "cache" / tuning_cache.FOLDER).iterdir()
    brings_nothing = {"found": {"plain": 1.0, "compiled": 1.0, "start": 60.0}}
    known = kept.with_name(kept.name.replace("-step", "-compiled"))
    known.write_text(json.dumps(brings_nothing))
    assert "--compile" not in " ".join(json.loads(comptool(*long).stdout)["advice"])


def test_a_run_that_is_there_is_neither_refused_nor_touched(profiled):
    profiled.make("kept")
    said = profiled("train", *TRAIN, "--run-name", "kept", "--steps", 1)
    assert said["steps"] == 1


def test_a_prediction_is_told_by_phases_that_add_up_to_its_step(profiled):
    profiled.make("one")
    said = profiled("infer", "one", "--steps", 4, "--batch-size", 3)
    assert list(said["milliseconds"]) == ["decode", "idle", "forward", "merge", "other"]
    assert added_up(said) == pytest.approx(said["milliseconds_per_step"], abs=0.01)
    assert said["device"] == "cpu (ONNX Runtime)"
    assert said["images_per_step"] == 3  # of 9, again and again


def test_a_prediction_knows_who_computes_it(profiled):
    profiled.make("one")
    said = profiled("infer", "one", "--steps", 2, "--backend", "torch")
    assert said["device"] == "cpu"
    assert "torch computes on the CPU: --backend onnx is several times as fast" in said["advice"]


def test_views_are_those_that_the_command_says(profiled, comptool):
    profiled.make("one", size=160)
    with_fixed_input_size(Path("weights/one"))
    said = profiled("tta", "one", "--transforms", "d4", "--steps", 1)
    assert (said["command"], said["images_per_step"]) == ("tta", 9)
    searched = comptool("profile", "tta", "one", "--search", "greedy", "--dry-run")
    assert "nothing is searched" in searched.stderr
    refused = comptool("profile", "tta", "one", "--transforms", "multiscale", *HERE)
    assert refused.exit_code == 2
    assert "does not take the view 'scale-0.75'" in refused.stderr


def with_fixed_input_size(run: Path) -> None:
    from comptool import models
    from comptool.models.checkpoint_file import load_checkpoint, save_checkpoint

    header = replace(load_checkpoint(run)[1], model=ModelRecord("test_vit-dual", {}))
    network = models.create("test_vit-dual", 3)
    save_checkpoint(run / "best.safetensors", network, header, force=True)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--modle", "x"),
        ("train", "-b", "many"),
        ("infer", "--fp8"),
        ("tta", "--merge", "x"),
    ],
)
def test_what_the_command_does_not_take_is_refused_in_its_own_words(comptool, words):
    measured, itself = comptool("profile", *words), comptool(*words)
    assert measured.exit_code == itself.exit_code == 2
    assert measured.stderr.splitlines()[-1] == itself.stderr.splitlines()[-1]
    assert f"comptool {words[0]}" in measured.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--model", "mobilnet"), "no model is called 'mobilnet'"),
        (("infer",), "no trained run here"),
        (("infer", "--fp16", "--bf16"), "--bf16 and --fp16 contradict each other"),
        (("split",), "'split' is not one of"),
    ],
)
def test_mistakes_are_told_as_everywhere(pairs, comptool, words, message):
    result = comptool("profile", *words)
    assert result.exit_code in (2, 3)
    assert message in result.stderr
    assert not Path("weights").exists()


def test_a_dry_run_measures_nothing(pairs, comptool):
    pairs("one")
    for words in (("train", *TRAIN), ("infer", "one")):
        result = comptool("profile", *words, "--dry-run")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "would" in result.stderr


def test_a_run_that_was_stopped_is_measured_as_it_was_begun(pairs, comptool):
    started = comptool("train", *TRAIN, "--run-name", "mine", "--epochs", 1, "-j", 0, "-q")
    assert started.exit_code == 0, started.output
    result = comptool("profile", "train", "--run-name", "mine", "--resume", "--steps", 1, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["images_per_step"] == 4  # not the default of 32
    lost = comptool("profile", "train", "--run-name", "other", "--resume")
    assert lost.exit_code == 3


def test_several_processes_are_not_measured_as_one(pairs, comptool, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = comptool("profile", "train", *TRAIN, "--device", "cpu")
    assert result.exit_code == 2
    assert "without torchrun" in result.stderr


def test_the_program_prints_a_table_and_a_kept_graph_needs_no_torch(pairs, comptool, program):
    pairs("one")
    assert comptool("infer", "one", "--device", "cpu", "-q").exit_code == 0  # keeps its graph
    imports = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    result = program("profile", "--steps", "2", "infer", "one", "--device", "cpu", env=imports)
    assert result.returncode == 0, result.stderr
    first, *rows = result.stdout.splitlines()
    assert first == "infer on cpu (ONNX Runtime): 2 steps of 9 images"
    assert rows[0].split() == ["phase", "ms", "a", "step", "share"]
    assert "what to change" in rows
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "onnxruntime" in imported
    assert "torch" not in imported


def test_a_graph_that_is_made_for_a_profile_is_not_kept(profiled):
    profiled.make("one")
    profiled("infer", "one", "--steps", 1)
    assert not list(Path("weights").rglob("*.onnx"))
