"""Names that nothing has: every message names the nearest, and nothing is made."""

from __future__ import annotations

from pathlib import Path

import pytest

TINY = ("--model", "test_efficientnet-dual", "--run-name", "new")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ("train", "--model", "mobilnetv2-dual", "--run-name", "new"),
            "no model is called 'mobilnetv2'; did you mean 'mobilenetv2', {} or {}?",
        ),
        (
            ("train", "--model", "mobilenetv2-dual+ml-decodr", "--run-name", "new"),
            "no head is called 'ml-decodr'; did you mean 'ml-decoder', {} or {}?",
        ),
        (
            ("train", *TINY, "--loss", "focla"),
            "no loss is called 'focla'; did you mean 'focal', 'sigmoid-focal' or 'poly'?",
        ),
        (
            ("train", *TINY, "--optimizer", "adamv"),
            "no optimizer is called 'adamv'; did you mean 'adam', {} or {}?",
        ),
        (
            ("train", *TINY, "--metric", "acuracy"),
            "no metric is called 'acuracy'; did you mean 'accuracy', 'accuracy@k' or 'auc'?",
        ),
        (
            ("train", *TINY, "--augment", "flps"),
            "no augmentation is called 'flps'; did you mean 'flips', 'strong' or 'weak'?",
        ),
        (
            ("train", *TINY, "--modality", "sra"),
            "no modality is called 'sra'; did you mean 'sar' or 'eo'?",
        ),
        (
            ("train", *TINY, "--img-size", "sra=32"),
            "no modality is called 'sra'; did you mean 'sar' or 'eo'?",
        ),
        (
            ("train", *TINY, "--loss", "ce", "--gamma", "2"),
            "the loss 'ce' has no use for --gamma; of such options it takes --label-smoothing, "
            "--balance weights",
        ),
        (
            ("tta", "--transforms", "d5", "-o", "new.csv"),
            "no group of views is called 'd5'; did you mean 'd4', '5crop' or 'multiscale'?",
        ),
        (
            ("recalibrate", "--head-classes", "a,d"),
            "no class is called 'd'; did you mean 'c', 'b' or 'a'?",
        ),
        (
            ("score", "mine.csv", "--answers", "data/answers.csv", "--metric", "acuracy"),
            "no metric is called 'acuracy'; did you mean 'accuracy', 'accuracy@k' or 'auc'?",
        ),
        (
            ("simulate", "mavok"),
            "no practice competition is called 'mavok'; did you mean 'mavoc', 'aicoss' or "
            "'rust-grades'?",
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_an_unknown_name(refused, command, message):
    refused(command, 2, message)


@pytest.mark.parametrize("command", ["infer", "tta"])
def test_an_unknown_run(refused, command):
    refused(
        (command, "nte", "-o", "new.csv"),
        3,
        "weights: no trained run is called 'nte'. Did you mean net?",
    )


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ("splitt",),
            "Usage: comptool [OPTIONS] COMMAND [ARGS]...\nTry 'comptool -h' for help.\n\n"
            "Error: No such command 'splitt'. Did you mean 'split'?\n",
        ),
        (
            ("train", "--epoch", "3"),
            "Usage: comptool train [OPTIONS]\nTry 'comptool train -h' for help.\n\n"
            "Error: No such option: --epoch (Possible options: --cycle-epochs, --decay-epochs, "
            "--epochs)\n",
        ),
        (
            ("pseudolabel", "--treshold", "0.9"),
            "Usage: comptool pseudolabel [OPTIONS] [predictions]\nTry 'comptool pseudolabel -h' "
            "for help.\n\nError: No such option: --treshold (Possible options: --test, "
            "--threshold)\n",
        ),
        (
            ("ensemble", "--method", "mode"),
            "Usage: comptool ensemble [OPTIONS] [predictions]...\nTry 'comptool ensemble -h' for "
            "help.\n\nError: Invalid value for '--method': Value error, 'mode' is not one of "
            "'mean', 'gmean', 'power', 'rank-mean', 'vote', 'temperature-mean'.\n",
        ),
        (
            ("infer", "--batch-size", "0"),
            "comptool infer: --batch-size is 0; it has to be 1 or more\n",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_an_unknown_option_is_told_by_the_parser(chain, invoked, command, said):
    result = invoked(*command)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", said)


CONFIGURED = ("split", "train", "infer", "tta", "pseudolabel", "submit", "check")


@pytest.mark.parametrize("command", CONFIGURED)
def test_an_unknown_key_of_the_competition(refused, damage, command):
    damage({"comptool.toml": lambda text: text.replace("metric =", "metrik =")})
    refused(
        command,
        3,
        "comptool.toml: no key is called 'metrik'; did you mean 'metric', {} or {}?",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("label =", "lable ="), "no key is called 'lable'; did you mean 'label', {} or {}?"),
        (
            ("[modalities]", "[modality]"),
            "no key is called 'modality'; did you mean 'modalities', {} or {}?",
        ),
        (("[data]", "[date]"), "no key is called 'date'; did you mean 'data', {} or {}?"),
        (
            ("multiclass", "multi-class"),
            "'task' is 'multi-class'; it can be multiclass, multilabel, ordinal, regression",
        ),
        (
            ("accuracy", "acuracy"),
            "'metric' is wrong: no metric is called 'acuracy'; did you mean 'accuracy', {} or {}?",
        ),
        (('id = "id"', "id = 3"), "'id' is 3; a text is needed"),
        (("[data]", "[data"), "is not readable as TOML ({})"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_wrong_entry_of_the_competition(refused, damage, change, message):
    damage({"comptool.toml": lambda text: text.replace(*change, 1)})
    refused("split", 3, f"comptool.toml: {message}")


@pytest.mark.parametrize("command", CONFIGURED)
def test_a_competition_that_is_not_there(refused, command):
    arguments = {"infer": ("-o", "new.csv"), "tta": ("-o", "new.csv"), "split": ("-o", "new.csv")}
    plain = ("submit", "--check-only", "mine.csv") if command == "check" else (command,)
    refused(
        (*plain, *arguments.get(command, ()), "--competition", "gone.toml"),
        3,
        "gone.toml: there is no such file. Run 'comptool init'",
    )


def test_a_folder_without_a_competition(refused):
    for name in ("comptool.toml", "folds.csv", "folds.csv.meta.json", "mine.csv"):
        Path(name).unlink()
    Path("data").rename("elsewhere")
    refused(
        "split",
        3,
        "no competition found in '.' or 'data'; looked for a table with 'train' or 'test' in its "
        "name, a sample submission, and class folders such as train/<class>/*.png. Go to the "
        "folder of the download, or run 'comptool init elsewhere'",
    )
