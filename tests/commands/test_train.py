"""``comptool train`` as it is typed."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_result_is_the_run_folder_on_stdout_and_the_rest_on_stderr(rows, comptool, tiny):
    result = comptool("train", *tiny, "--epochs", "2")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "weights/test_efficientnet-dual\n"
    lines = result.stderr.splitlines()
    assert lines[0].startswith("no folds.csv here: stratified hold-out of 0.2 of train.csv, seed 0")
    assert lines[2].startswith("epoch 1/2: lr ")
    assert len(lines) == 4


def test_help_lists_the_options_under_headings(comptool):
    text = comptool("train", "--help").stdout
    headings = [line for line in text.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == [
        "Options:", "Model:", "Loss:", "Class balance:", "Images:", "Optimisation:", "Validation:",
        "Training in stages:", "Advanced:", "General:",
    ]  # fmt: skip
    assert text.index("--gamma") > text.index("Loss:")
    assert text.index("--gamma") < text.index("Images:")


def test_json_and_quiet_leave_one_object_and_nothing_else(rows, comptool, tiny):
    result = comptool("train", *tiny, "--epochs", "1", "--json", "-q", "--run-name", "x")
    document = json.loads(result.stdout)
    assert list(document) == ["run", "metric", "score", "epoch", "seconds"]
    assert (document["run"], document["metric"], document["epoch"]) == ("weights/x", "accuracy", 1)
    assert 0 <= document["score"] <= 1
    assert result.stderr == ""


def test_the_conventional_folds_are_taken_and_said(rows, comptool, tiny, write_rows):
    write_rows(
        "folds.csv",
        [[*row, index % 2] for index, row in enumerate(rows)],
        "image_id,sar_path,eo_path,class_id,fold",
    )
    result = comptool("train", *tiny, "--epochs", "1", "--fold", "1")
    assert result.stderr.splitlines()[0] == "taking the folds of folds.csv"
    ids = [row["image_id"] for row in csv.DictReader(
        Path("weights/test_efficientnet-dual/oof.csv").open())]  # fmt: skip
    assert ids == [f"s{index}" for index in range(1, 24, 2)]


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(rows, comptool, tiny):
    before = sorted(Path().rglob("*"))
    result = comptool("train", *tiny, "--fold", "all", "--run-name", "x", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.splitlines()[1:] == [
        "would train test_efficientnet-dual on 21 rows, validate 3 rows by accuracy, and write "
        "weights/x/fold-0",
        "would read train.csv and the images they name",
    ]
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--loss", "ce", "--gamma", "2"],
            "the loss 'ce' has no use for --gamma; of such options it takes --label-smoothing, "
            "--balance weights",
        ),
        (["--loss-option", "gama=2"], "no option of the loss 'ce' is called 'gama'"),
        (["--model-option", "dropot=1"], "no option of the model 'test_efficientnet-dual' is"),
        (["--device", "foo"], "--device is 'foo'; it has to be auto, cpu, cuda or cuda:N"),
        (["--device", "cuda:97"], "there is no device 'cuda:97'; this machine has"),
        (
            ["--model", "mobilenetv2_10-dual"],
            "no model is called 'mobilenetv2_10'; did you mean ",
        ),
        (["--model", "test_vit-dual", "--img-size", "33"], "the backbone 'test_vit' takes no"),
        (["--batch-size", "1"], "the batch normalisation of 'test_efficientnet-dual' cannot"),
        (
            ["--compile", "reduce-overhead"],
            "--compile reduce-overhead is for CUDA devices, not for",
        ),
        (
            ["--schedule", "step", "--decay-epochs", "0.01"],
            "--decay-epochs 0.01 is less than half an update, of which an epoch has 5",
        ),
    ],
)
@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry", "real"])
def test_a_dry_run_is_refused_what_the_training_is(dry, options, message, rows, comptool, tiny):
    before = sorted(Path().rglob("*"))
    result = comptool("train", "-q", *tiny, *options, *dry)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"comptool train: {message}")
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(("size", "code"), [("0", 2), ("x", 2), ("auto", 0)])
def test_a_batch_size_is_a_number_or_auto(size, code, rows, comptool, tiny):
    result = comptool("train", "-q", *tiny, "-b", size, "--dry-run")
    assert result.exit_code == code
    if code:
        assert f"'{size}' is not a number of images from 1 on, and not auto." in result.stderr


def test_an_extra_table_names_the_run(rows, comptool, tiny, write_rows):
    write_rows("pseudo.csv", [])
    result = comptool("train", *tiny, "--epochs", "1", "--extra", "pseudo.csv")
    assert result.stdout == "weights/test_efficientnet-dual-pseudo\n"
    assert "adding 0 rows of pseudo.csv" in result.stderr


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--model", "mobilenetv2"],
            2,
            "the model 'mobilenetv2' takes 1 image per sample and the competition has 2: sar, eo; "
            "try 'mobilenetv2-dual'",
        ),
        (
            ["--model", "mobilenetv2-dual", "--modality", "sar"],
            2,
            "the model 'mobilenetv2-dual' takes 2 or more images per sample and the competition "
            "has 1: sar; try 'mobilenetv2'",
        ),
        (["--model", "nosuch"], 2, "no model is called 'nosuch'; did you mean "),
        (["--model", "resnet18"], 2, "the model 'resnet18' takes 1 image per sample and the"),
        (["--loss", "focla"], 2, "no loss is called 'focla'; did you mean 'focal'"),
        (["--metric", "acuracy"], 2, "no metric is called 'acuracy'; did you mean 'accuracy'"),
        (["--augment", "flip"], 2, "no augmentation is called 'flip'; did you mean 'flips'"),
        (["--augment", "policy.json"], 3, "policy.json: there is no such augmentation file"),
        (["--fold", "4"], 2, "there is no fold 4 in train.csv; its folds are 0"),
        (["--folds", "fold.csv"], 3, "fold.csv: there is no such file"),
        (["--extra", "pseudo.csv"], 3, "pseudo.csv: there is no such file"),
        (["--init-from", "nowhere"], 3, "weights: no trained run is called 'nowhere'"),
        (["--run-name", "a/b"], 2, "--run-name is 'a/b'; it names one folder below weights"),
        (["--run-name", ""], 2, "--run-name is ''; it needs a name without blanks around it"),
        (["--run-name", "  "], 2, "--run-name is '  '; it needs a name without blanks around"),
        (["--run-name", "a "], 2, "--run-name is 'a '; it needs a name without blanks around"),
        (["--run-name", "."], 2, "--run-name is '.'; it names one folder below weights"),
        (["--run-name", "a\nb"], 2, "--run-name is 'a\\nb'; it names one folder below weights"),
        (["--run-name", "fold-0"], 2, "--run-name is 'fold-0'; folders of such names hold the"),
        (["--model", "../x"], 2, "no model is called '../x'; did you mean"),
        (["--resume"], 3, "weights/mobilenetv2-dual: there is no run to resume"),
        (["--force", "--resume"], 2, "--resume continues a run and --force replaces it"),
        (["--img-size", "big"], 2, "--img-size is 'big'; it is 64, 64x48 (height, width) or"),
        (["--pretrained", "maybe"], 2, "--pretrained is 'maybe'; it is auto, yes, no, a file of"),
        (["--device", "gpu"], 2, "--device is 'gpu'; it has to be auto, cpu, cuda or cuda:N"),
    ],
)
def test_a_mistake_is_one_line_with_its_code_and_nothing_is_written(
    options, code, message, rows, comptool
):
    result = comptool("train", "-q", "--pretrained", "no", *options)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(f"comptool train: {message}")
    assert len(result.stderr.splitlines()) == 1
    assert not Path("weights").exists()


@pytest.fixture
def cells(rows, write_rows) -> None:
    """The rows with three classes of their own, one of them never validated."""
    found = []
    for index, row in enumerate(rows):
        fold = -1 if index % 4 else 0
        found.append([*row[:2], index & 1, index >> 1 & 1, int(index % 5 < 2 and fold < 0), fold])
        if index % 4 == 0:
            found[-1][2:4] = [index // 4 & 1, index // 8 & 1]
    write_rows("folds.csv", found, "image_id,path,sea,golf course,road,fold")
    Path("comptool.toml").write_text(
        'name = "x"\ntask = "multilabel"\nmetric = "map"\n[data]\ntrain = "folds.csv"\n'
        'id = "image_id"\nlabel = ["sea", "golf course", "road"]\n[modalities]\nimage = "path"\n'
    )


SINGLE = ["--model", "test_efficientnet"]


def test_several_classes_per_image_train_by_their_own_loss_and_metric(cells, comptool, tiny):
    result = comptool(
        "train", *tiny, *SINGLE, "--epochs", "1", "--loss-option", "pos_weight=2", "--loss-option",
        "smoothing=0.1", "--model-option", "drop_rate=0.2", "--cutmix", "1", "--mixup", "0.2",
        "--augment", "weak", "--cutout", "0.3", "--magnitude", "5", "--num-ops", "1",
        "--layer-decay", "0.8", "--balance", "class-aware",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    lines = result.stderr.splitlines()
    assert lines[1] == (
        "weights/test_efficientnet: no positive row to validate: the metric leaves it out: class "
        "'road'"
    )
    assert ", val_map " in lines[-1]
    arguments = json.loads(Path("weights/test_efficientnet/run.json").read_text())["arguments"]
    assert (arguments["loss"], arguments["loss_option"]) == (
        "bce",
        ["pos_weight=2", "smoothing=0.1"],
    )
    assert (arguments["cutout"], arguments["layer_decay"]) == (0.3, 0.8)
    resumed = comptool("train", "--run-name", "test_efficientnet", "--resume", "--loss-option",
                       "pos_weight=3")  # fmt: skip
    assert (resumed.exit_code, resumed.stderr) == (
        2,
        "comptool train: a resumed run keeps its settings; weights/test_efficientnet was begun "
        "with --loss-option pos_weight=2 smoothing=0.1. Leave them out, or start another run with "
        "--init-from\n",
    )


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--loss", "ce"], 2, "the loss 'ce' is for one class per image and the task is"),
        (["--loss-option", "posweight=1"], 2, "no option of the loss 'bce' is called 'posweight'"),
        (["--model-option", "dropot=1"], 2, "no option of the model 'test_efficientnet' is called"),
        (["--balance", "under"], 2, "--balance under needs one class per image"),
        (["--loss", "two-way", "--mixup", "1"], 2, "the loss 'two-way' needs targets of 0 and 1"),
        (
            ["--metric", "kappa"],
            2,
            "the metric 'kappa' is for the task multiclass or ordinal, and the task is",
        ),
        (["--prior", "p.csv"], 2, "--prior is for the loss 'partial-asl', and the loss is 'bce'"),
        (["--loss", "partial-asl", "--prior", "p.csv"], 3, "p.csv: there is no such file"),
        (["--layer-decay", "2"], 2, "--layer-decay is 2.0; it has to be above 0 and at most 1"),
        (["--augment", "strong", "--num-ops", "3"], 2, "the augmentation 'strong' has no use for"),
    ],
)
def test_a_mistake_with_several_classes_is_one_line_and_nothing_is_written(
    options, code, message, cells, comptool, tiny
):
    result = comptool("train", "-q", *tiny, *SINGLE, *options)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(f"comptool train: {message}")
    assert len(result.stderr.splitlines()) == 1
    assert not Path("weights").exists()


def test_a_value_that_is_no_choice_is_told_by_the_parser(rows, comptool):
    result = comptool("train", "--amp", "fp8")
    assert result.exit_code == 2
    assert "'fp8' is not one of 'auto', 'bf16', 'fp16', 'off'" in result.stderr


def test_mistakes_are_told_without_importing_torch(rows, write_rows):
    code = (
        "import sys; from importlib import import_module\n"
        "app = import_module('comptool.commands.app').app\n"
        "try: app(sys.argv[1:], prog_name='comptool')\n"
        "except SystemExit as end: sys.exit(10 + end.code + 50 * ('torch' in sys.modules))"
    )
    write_rows("folds.csv", [[*row, 0] for row in rows], "image_id,sar_path,eo_path,class_id,fold")
    run = subprocess.run(
        [sys.executable, "-c", code, "train", "--fold", "3"], capture_output=True, check=False
    )
    assert run.returncode == 12, run.stderr


def test_a_read_only_folder_is_told_at_once(rows, comptool, tmp_path, tiny):
    (tmp_path / "weights").write_text("a file where the folder should be")
    result = comptool("train", *tiny)
    assert result.exit_code == 3
    assert result.stderr == "comptool train: weights: is a file where a folder is needed\n"
