"""Stages of a long tail that cannot be: classes, parts, weights and counts that there are not."""

from __future__ import annotations

import pytest

MEND = "Give every class one weight, and no other"
STAGE = ("train", "--model", "test_efficientnet-dual", "--run-name", "new")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("d", "no class is called 'd'; did you mean 'c', 'b' or 'a'?"),
        ("a,d", "no class is called 'd'; did you mean 'c', 'b' or 'a'?"),
        ("a,b,c", "--drop-classes a,b,c leaves no class to train on; it has to leave two or more"),
        (
            "c,a",
            "--drop-classes a,c leaves only the class 'b' to train on; it has to leave two or more",
        ),
    ],
)
def test_classes_that_cannot_be_dropped(refused, classes, message):
    refused((*STAGE, "--drop-classes", classes), 2, message)


@pytest.mark.parametrize(
    ("part", "meant"),
    [
        ("neck", "'backbone' or 'head'"),
        ("heads", "'head' or 'backbone'"),
        ("", "'head' or 'backbone'"),
    ],
)
def test_a_part_that_cannot_be_frozen(refused, part, meant):
    refused(
        (*STAGE, "--freeze", part),
        2,
        f"no part of a model is called '{part}'; did you mean {meant}?",
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("w.csv", "class,weight\na,1\nc,2\n", f"has no weight for the class 'b'. {MEND}"),
        ("w.toml", "a = 1\n", f"has no weight for the classes 'b', 'c'. {MEND}"),
        (
            "w.csv",
            "class,weight\na,1\nb,2\nc,1\nd,1\n",
            f"has weights of unknown classes (found 'd'). {MEND}",
        ),
        (
            "w.csv",
            "class,weight\na,1\nb,2\na,1\nc,1\n",
            f"row 3, column 'class': has two weights for a class (found 'a'). {MEND}",
        ),
        *(
            (
                "w.csv",
                f"class,weight\na,1\nb,{value}\nc,1\n",
                "row 2, column 'weight': a class weight has to be a positive number (found "
                f"'{value}')",
            )
            for value in ("-2", "0", "", "inf", "much")
        ),
        (
            "w.toml",
            "a = 1\nb = -2.0\nc = 1\n",
            "a class weight has to be a positive number (found 'b = -2.0')",
        ),
    ],
)
def test_class_weights_that_are_none(refused, damage, name, text, message):
    damage({name: text})
    message = f"{name}{', ' if message.startswith('row') else ': '}{message}"
    refused((*STAGE, "--class-weights", name), 3, message)


@pytest.mark.parametrize("count", ["0", "-1"])
def test_no_rows_per_class(refused, count):
    refused((*STAGE, "--per-class", count), 2, f"--per-class is {count}; it has to be 1 or more")


@pytest.mark.parametrize(
    ("options", "begun"),
    [
        (("--drop-classes", "a"), "no --drop-classes"),
        (("--freeze", "backbone"), "no --freeze"),
        (("--per-class", "4"), "no --per-class"),
        (("--init-from", "net"), "no --init-from"),
        (("--mixup", "1", "--weighting", "sqrt"), "no --weighting, --mixup 0.0"),
    ],
)
def test_a_run_resumed_with_the_arguments_of_another_stage(refused, options, begun):
    refused(
        ("train", "--run-name", "net", "--resume", *options),
        2,
        f"a resumed run keeps its settings; weights/net was begun with {begun}. Leave them out, or "
        "start another run with --init-from",
    )


def test_a_class_that_no_row_is_of(chain, damage, run):
    damage(
        {
            "comptool.toml": lambda text: text.replace(
                "[data]", '[data]\nclasses = ["a","b","c","d"]'
            )
        }
    )
    result = run("train", "--weighting", "inverse", "--per-class", "4", "--loss", "ldam")
    assert result.exit_code == 0
    assert "weights/new: no row is of the class 'd': it cannot be learnt" in result.stderr
