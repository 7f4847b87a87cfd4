"""Records that are damaged: no object, without a key, or with a value of another type."""

from __future__ import annotations

import json

import pytest

PREDS = "submissions/preds.csv"
AGAIN = "Delete it, or make the file again"
# What is written into a record, and what is said of it.
DAMAGES = {
    "[]": "is damaged: it has to be an object, not []",
    '"facts"': "is damaged: it has to be an object, not 'facts'",
    '{"facts": 3}': "is damaged: facts has to be an object, not 3",
    '{"inputs": ["net"]}': "is damaged: inputs has to be an object, not ['net']",
    '{"facts": {"runs": "net"}}': "is damaged: facts.runs has to be a list, not 'net'",
    '{"facts": {"task": ["multiclass"]}}': "is damaged: facts.task has to be text, not "
    "['multiclass']",
    '{"facts": {"class_counts": {"a": "9"}}}': "is damaged: facts.class_counts.a has to be a whole "
    "number, not '9'",
    '{"facts": {"ensemble": {"members": []}}}': "is damaged: facts.ensemble lacks method, weights",
    '{"facts": {"ensemble": {"members": [], "method": "mean", "weights": [], "made_of": [3]}}}': (
        "is damaged: facts.ensemble.made_of[0] has to be an object, not 3"
    ),
}


@pytest.mark.parametrize("command", ["pseudolabel", "recalibrate", "ensemble", "submit"])
@pytest.mark.parametrize("text", DAMAGES)
def test_a_record_of_predictions(refused, damage, command, text):
    damage({f"{PREDS}.meta.json": text})
    refused(command, 3, f"{PREDS}.meta.json: its record {DAMAGES[text]}. {AGAIN}")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"folder": 3}, "facts.folder has to be text, not 3"),
        ({"class_counts": [1, 2]}, "facts.class_counts has to be an object, not [1, 2]"),
        ({"zero_is_unknown": "no"}, "facts.zero_is_unknown has to be true or false, not 'no'"),
    ],
)
def test_a_record_of_folds(refused, damage, facts, told):
    damage({"folds.csv.meta.json": json.dumps({"facts": facts})})
    refused("train", 3, f"folds.csv.meta.json: its record is damaged: {told}. {AGAIN}")


def test_a_record_of_out_of_fold_rows(refused, damage):
    damage({"weights/net/oof.csv.meta.json": '{"facts": {"leak": true}}'})
    refused(
        ("recalibrate", "--method", "temperature"),
        3,
        "weights/net/oof.csv.meta.json: its record is damaged: facts.leak has to be text, not "
        f"True. {AGAIN}",
    )


def test_a_record_of_a_practice_competition(refused, damage):
    damage({"data.meta.json": '{"command": "simulate", "facts": {"metric": 3}}'})
    told = f"is damaged: facts.metric has to be text, not 3. {AGAIN}"
    refused("score", 3, f"{{}}data.meta.json: its record {told}")
    damage({"data.meta.json": '{"command": "simulate", "facts": {"contents": ["a"]}}'})
    told = f"is damaged: facts.contents has to be an object, not ['a']. {AGAIN}"
    command = ("simulate", "mavoc", "-o", "data", "--scale", "0.01", "--force")
    refused(command, 3, f"data.meta.json: its record {told}")


def without(key: str):
    """A change of a record: without a key."""
    return lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != key})


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("[]", "its record is damaged: it has to be an object, not []"),
        (without("arguments"), "its record lacks arguments"),
        (without("files"), "its record lacks files"),
        (
            lambda text: json.dumps(json.loads(text) | {"files": {"folds": 3}}),
            "its record is damaged: files.folds has to be text, not 3",
        ),
        ("{", "is no readable record of a run ({})"),
        (
            lambda text: json.dumps(json.loads(text) | {"arguments": {"speed": 3}}),
            "is no readable record of a run ({}'speed')",
        ),
    ],
)
def test_a_record_of_a_run(refused, damage, new, told):
    damage({"weights/net/run.json": new})
    refused("go on", 3, f"weights/net/run.json: {told}. Train again with --force")


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ([], "its record of weights is damaged: it has to be an object, not []"),
        ({"format": 1}, "its record of weights lacks classes, members"),
        (
            {"format": 1, "classes": ["a"], "members": [{"runs": []}]},
            "its record of weights is damaged: members[0] lacks weight",
        ),
        (
            {"format": 1, "classes": ["a"], "members": [{"weight": "1"}]},
            "its record of weights is damaged: members[0].weight has to be a number or an object, "
            "not '1'",
        ),
        (
            {"format": 1, "classes": ["a", "b"], "members": [{"weight": {"a": 1}}]},
            "is not a file of ensemble weights (members[0].weight lacks b)",
        ),
        (
            {"format": 2, "classes": ["a"], "members": []},
            "is not a file of ensemble weights (format 2)",
        ),
    ],
)
def test_a_file_of_weights(refused, damage, weights, told):
    damage({"w.json": json.dumps(weights)})
    refused(
        ("ensemble", PREDS, "--weights", "w.json", "-o", "new.csv"),
        3,
        f"w.json: {told}. Make it: comptool ensemble --search greedy",
    )


@pytest.mark.parametrize(
    ("views", "told"),
    [
        ({"weights": [1]}, "its list of views lacks views"),
        ({"views": "d4"}, "its list of views is damaged: views has to be a list, not 'd4'"),
        (
            {"views": ["identity"], "weights": ["1"]},
            "its list of views is damaged: weights[0] has to be a number, not '1'",
        ),
        (
            {"views": ["identity"], "runs": "net"},
            "its list of views is damaged: runs has to be a list, not 'net'",
        ),
    ],
)
def test_a_file_of_views(refused, damage, views, told):
    damage({"v.json": json.dumps(views)})
    refused(("tta", "-j", "0", "-o", "new.csv", "--transforms", "v.json"), 3, f"v.json: {told}")
