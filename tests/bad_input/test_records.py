"""Records that are damaged: no object, without a key, or with a value of another type."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.usefixtures("unsealed")

PREDS = "submissions/preds.csv"
AGAIN = "Delete it, or make the file again"
# What is written into a record, and what is said of it.
DAMAGES = {
    "[]": "is damaged: the top level must be an object, found []",
    '"facts"': 'is damaged: the top level must be an object, found "facts"',
    '{"facts": 3}': "is damaged: facts must be an object, found 3",
    '{"inputs": ["net"]}': 'is damaged: inputs must be an object, found ["net"]',
    '{"facts": {"runs": "net"}}': 'is damaged: facts.runs must be a list, found "net"',
    '{"facts": {"task": ["cells"]}}': 'is damaged: facts.task must be text, found ["cells"]',
    '{"facts": {"class_counts": {"a": "9"}}}': (
        'is damaged: facts.class_counts.a must be a whole number, found "9"'
    ),
    '{"facts": {"ensemble": {"members": []}}}': "is damaged: facts.ensemble lacks method, weights",
    '{"facts": {"ensemble": {"members": [], "method": "mean", "weights": [], "made_of": [3]}}}': (
        "is damaged: facts.ensemble.made_of[0] must be an object, found 3"
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
        ({"folder": 3}, "facts.folder must be text, found 3"),
        ({"class_counts": [1, 2]}, "facts.class_counts must be an object, found [1, 2]"),
        ({"zero_is_unknown": "no"}, 'facts.zero_is_unknown must be true or false, found "no"'),
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
        "weights/net/oof.csv.meta.json: its record is damaged: facts.leak must be text, found "
        f"true. {AGAIN}",
    )


def test_a_record_of_a_practice_competition(refused, damage):
    damage({"data.meta.json": '{"command": "simulate", "facts": {"metric": 3}}'})
    told = f"is damaged: facts.metric must be text, found 3. {AGAIN}"
    refused("score", 3, f"{{}}data.meta.json: its record {told}")
    damage({"data.meta.json": '{"command": "simulate", "facts": {"contents": ["a"]}}'})
    told = f'is damaged: facts.contents must be an object, found ["a"]. {AGAIN}'
    command = ("simulate", "mavoc", "-o", "data", "--scale", "0.01", "--force")
    refused(command, 3, f"data.meta.json: its record {told}")


def without(key: str):
    """A change of a record: without a key."""
    return lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != key})


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (
            lambda text: json.dumps(json.loads(text) | {"arguments": {"epochs": "ten"}}),
            'its record is damaged: arguments.epochs must be a whole number, found "ten"',
        ),
        (
            lambda text: json.dumps(json.loads(text) | {"arguments": {"epochs": 0}}),
            "its record is damaged: --epochs is 0; it has to be 1 or more",
        ),
        ("[]", "its record is damaged: the top level must be an object, found []"),
        (without("arguments"), "its record lacks arguments"),
        (without("files"), "its record lacks files"),
        (
            lambda text: json.dumps(json.loads(text) | {"files": {"folds": 3}}),
            "its record is damaged: files.folds must be text, found 3",
        ),
        ("{", "is not readable as JSON ({})"),
        (
            lambda text: json.dumps(json.loads(text) | {"arguments": {"speed": 3}}),
            'its record is damaged: arguments has the unknown key "speed"; did you mean {}?',
        ),
    ],
)
def test_a_record_of_a_run(refused, damage, new, told):
    damage({"weights/net/run.json": new})
    refused("go on", 3, f"weights/net/run.json: {told}. Train again with --force")


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ([], "its record of weights is damaged: the top level must be an object, found []"),
        ({"format": 1}, "its record of weights lacks classes, members"),
        (
            {"format": 1, "classes": ["a"], "members": [{"runs": []}]},
            "its record of weights is damaged: members[0] lacks weight",
        ),
        (
            {"format": 1, "classes": ["a"], "members": [{"weight": "1"}]},
            "its record of weights is damaged: members[0].weight must be a finite number or an "
            'object, found "1"',
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
        ({"views": "d4"}, 'its list of views is damaged: views must be a list, found "d4"'),
        (
            {"views": ["identity"], "weights": ["1"]},
            'its list of views is damaged: weights[0] must be a finite number, found "1"',
        ),
        (
            {"views": ["identity"], "runs": "net"},
            'its list of views is damaged: runs must be a list, found "net"',
        ),
    ],
)
def test_a_file_of_views(refused, damage, views, told):
    damage({"v.json": json.dumps(views)})
    refused(("tta", "-j", "0", "-o", "new.csv", "--transforms", "v.json"), 3, f"v.json: {told}")
