"""Headers of checkpoints and training states made by hand: one sentence, whatever they say.

Nothing that they say reaches for the network or runs code.
"""

from __future__ import annotations

import copy
import json
import math
import socket
from pathlib import Path

import pytest

from comptool.io.provenance import PredictionFacts, record

from .conftest import forget

pytestmark = pytest.mark.usefixtures("unsealed")

BEST = "weights/net/best.safetensors"
LAST = "weights/net/last.pt"
NAME = "test_efficientnet-dual"
DAMAGED = "its header is damaged: "
NAN, LARGE = math.nan, 10**9


def options(**changes: object) -> dict[str, object]:
    return {"model": {"name": NAME, "options": {"img_size": [[32, 32]] * 2} | changes}}


def model(name: str) -> dict[str, object]:
    return {"model": {"name": name, "options": {"img_size": [[32, 32]] * 2}}}


def sar(key: str, value: object) -> dict[str, object]:
    """A change of the entry of one modality."""
    return {key: {"sar": value}}


# What is changed in the header, and what is said of it, by any command that reads it.
HEADERS = [
    ({"task": 3}, f"{DAMAGED}task must be text, found 3"),
    ({"task": "quux"}, "its task cannot be used: no task is called 'quux'; did you mean {}?"),
    ({"task": "evil.py:Task"}, "its task cannot be used: no task is called 'evil.py:Task'; {}"),
    ({"task": None}, "its header lacks task"),
    ({"model": "resnet34"}, f'{DAMAGED}model must be an object, found "resnet34"'),
    ({"model": {"name": NAME}}, f"{DAMAGED}model lacks options"),
    ({"model": {"name": NAME, "options": []}}, f"{DAMAGED}model.options must be an object, {{}}"),
    (model(""), "its model.name cannot be used: no model is called ''; did you mean {}?"),
    (model("../x-dual"), "its model.name cannot be used: no model is called '../x-dual'; {}"),
    (model("hf_hub:a/b"), "its model.name cannot be used: no model is called 'hf_hub:a/b'; {}"),
    (model(f"{NAME}+zzz"), "its model.name cannot be used: no head is called 'zzz'; did you {}"),
    (model(f"{NAME}+evil.py:build"), "its model.name cannot be used: no head is called 'evil.py{}"),
    (model(f"{NAME}+coral"), "its model.name cannot be used: the head 'coral' is for the task {}"),
    (model("test_efficientnet"), "its model.name cannot be used: 'test_efficientnet' takes 1 {}"),
    ({"classes": []}, f"{DAMAGED}classes has no entry"),
    ({"classes": "abc"}, f'{DAMAGED}classes must be a list, found "abc"'),
    ({"classes": ["a", 2, "c"]}, f"{DAMAGED}classes[1] must be text, found 2"),
    (
        {"classes": ["a", "b", "a"]},
        f"{DAMAGED}classes[2] must be a text that is not blank and {{}}",
    ),
    (
        {"classes": ["a", " ", "c"]},
        f"{DAMAGED}classes[1] must be a text that is not blank and {{}}",
    ),
    ({"class_counts": {"a": -1}}, f"{DAMAGED}class_counts.a must be 0 or more, found -1"),
    (
        {"class_counts": {"a": 10**30}},
        f"{DAMAGED}class_counts.a must be a whole number, found 1{{}}",
    ),
    ({"modalities": []}, f"{DAMAGED}modalities has no entry"),
    ({"modalities": ["sar", "sar"]}, f"{DAMAGED}modalities[1] must be a text that is not {{}}"),
    (
        {"modalities": ["sar"]},
        f"its model.name cannot be used: '{NAME}' takes 2 or more images, {{}}",
    ),
    ({"img_size": 32}, f"{DAMAGED}img_size must be an object, found 32"),
    (sar("img_size", [32]), f"{DAMAGED}img_size.sar must be height and width, found [32]"),
    (sar("img_size", [0, 32]), f"{DAMAGED}img_size.sar[0] must be 1 or more, found 0"),
    (sar("img_size", [32, -32]), f"{DAMAGED}img_size.sar[1] must be 1 or more, found -32"),
    (
        sar("img_size", [LARGE] * 2),
        f"{DAMAGED}img_size.sar[0] must be at most 16384, found {LARGE}",
    ),
    (sar("img_size", [32.5, 32]), f"{DAMAGED}img_size.sar[0] must be a whole number, found 32.5"),
    (sar("channels", 0), f"{DAMAGED}channels.sar must be 1 or more, found 0"),
    (sar("channels", True), f"{DAMAGED}channels.sar must be a whole number, found true"),
    (sar("channels", LARGE), f"{DAMAGED}channels.sar must be at most 16384, found {LARGE}"),
    (
        sar("channels", 1),
        f"{DAMAGED}mean.sar must be a list of 1, one for each channel, found {{}}",
    ),
    (sar("mean", [NAN] * 3), f"{DAMAGED}mean.sar[0] must be a finite number, found NaN"),
    (
        sar("mean", [0.5]),
        f"{DAMAGED}mean.sar must be a list of 3, one for each channel, found [0.5]",
    ),
    (sar("std", [1, math.inf, 1]), f"{DAMAGED}std.sar[1] must be a finite number, found Infinity"),
    (sar("std", [1, 1, 0]), f"{DAMAGED}std.sar[2] must be above 0, found 0"),
    (sar("std", [1, 1, -1]), f"{DAMAGED}std.sar[2] must be above 0, found -1"),
    (sar("bits", 0), f"{DAMAGED}bits.sar must be 1 or more, found 0"),
    (sar("bits", 99), f"{DAMAGED}bits.sar must be at most 16, found 99"),
    (
        sar("ranges", [[1]]),
        f"{DAMAGED}ranges.sar[0] must be black, and a white that is not less, {{}}",
    ),
    (sar("ranges", [[0, 1]] * 2), f"{DAMAGED}ranges.sar must be a list of 3, one for each {{}}"),
    ({"fold": -1}, f"{DAMAGED}fold must be 0 or more, found -1"),
    ({"epoch": "last"}, f'{DAMAGED}epoch must be a whole number, found "last"'),
    ({"arguments": {"pool": [1]}}, f"{DAMAGED}arguments.pool must be text or null, found [1]"),
    ({"inputs": [1]}, f"{DAMAGED}inputs must be an object, found [1]"),
    ({"way": [1]}, f"{DAMAGED}way must be an object, found [1]"),
    ({"fusion_weights": {"a": "x"}}, f"{DAMAGED}fusion_weights.a must be a finite number, {{}}"),
]
# What only commands that build the model read.
MODELS = [
    (options(pretrained=True), f"{DAMAGED}model.options.pretrained is not an option of the {{}}"),
    (options(in_chans=7), f"{DAMAGED}model.options.in_chans is not an option of the model {{}}"),
    (options(num_classes=9), f"{DAMAGED}model.options.num_classes is not an option of the {{}}"),
    (
        options(name="x"),
        f"{DAMAGED}model.options.name is not an option of the model '{NAME}', {{}}",
    ),
    (
        options(drop_rate="x"),
        f'{DAMAGED}model.options.drop_rate must be a finite number, found "x"',
    ),
    (
        options(drop_rate=NAN),
        f"{DAMAGED}model.options.drop_rate must be a finite number, found NaN",
    ),
    (
        options(auxiliary_heads=1),
        f"{DAMAGED}model.options.auxiliary_heads must be true or false, {{}}",
    ),
    (
        options(img_size="x"),
        f"{DAMAGED}model.options.img_size must be a list of 2 or a list or {{}}",
    ),
    (
        options(img_size=[[LARGE] * 2] * 2),
        f"{DAMAGED}model.options.img_size must be at most 16384, {{}}",
    ),
]
NEEDED = [
    (
        options(drop_rate=2.0),
        "its model cannot be built here: drop_rate is 2.0; it has to be in {}",
    ),
    (options(img_size=[[0, 0]] * 2), "its model cannot be built here: the backbone {}"),
    (options(img_size=[[32, 32]]), "its model cannot be built here: the model {}"),
    ({"reader": "zzz"}, "its reader cannot be used: no image reader is called 'zzz'; did you {}"),
]


def text_of(changed: dict[str, object]) -> str:
    return json.dumps(changed)[:60]


def header() -> dict[str, object]:
    from safetensors import safe_open

    with safe_open(BEST, framework="numpy") as checkpoint:
        found: dict[str, object] = json.loads(checkpoint.metadata()["comptool"])
    return found


def write_header(text: str) -> None:
    from safetensors.numpy import load_file, save_file

    save_file(load_file(BEST), BEST, metadata={"comptool": text})
    forget(Path(BEST))


def changed_header(changes: dict[str, object]) -> dict[str, object]:
    """The header with a change; entries of a modality join the others."""
    found = header()
    for key, value in changes.items():
        of_modality = isinstance(value, dict) and "sar" in value
        found[key] = found[key] | value if of_modality else value
    return {key: value for key, value in found.items() if value is not None or key not in changes}


# Commands that read the header.
READING = {
    "infer": ("infer", "net", "-j", "0", "-o", "new.csv"),
    "tta": ("tta", "net", "-j", "0", "-o", "new.csv"),
    "features": ("features", "net", "-j", "0", "-o", "new.png"),
    "evaluate": ("evaluate", "net"),
}


@pytest.fixture
def each(unchanged, commands):
    """Check that commands refuse a header with the same message."""

    def check(names: tuple[str, ...], message: str) -> None:
        for name in names:
            unchanged(Path(), READING.get(name) or commands[name], 3, message)

    return check


@pytest.mark.parametrize(("changes", "message"), HEADERS, ids=text_of)
def test_a_header_made_by_hand(chain, each, changes, message):
    write_header(json.dumps(changed_header(changes)))
    each((*READING, "child"), f"{BEST}: {message}")


@pytest.mark.parametrize(("changes", "message"), MODELS, ids=text_of)
def test_options_of_a_model_made_by_hand(chain, each, changes, message):
    write_header(json.dumps(changed_header(changes)))
    each(("infer", "tta", "features", "child"), f"{BEST}: {message}")


@pytest.mark.parametrize(("changes", "message"), NEEDED, ids=text_of)
def test_what_only_a_prediction_needs(chain, each, changes, message):
    write_header(json.dumps(changed_header(changes)))
    each(("infer", "features"), f"{BEST}: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("null", f"{DAMAGED}the top level must be an object, found null"),
        (
            "[" * 100_000,
            "its header is not readable as JSON (it is nested more than 100 levels deep)",
        ),
        ('{"format": 1, "format": 1}', "its header is not readable as JSON (an object has the {})"),
        ('{"format": null}', "its header is not of format 1 (found 'null'). Use the version {}"),
    ],
    ids=["null", "deep", "twice", "format"],
)
def test_a_header_that_is_no_header(chain, each, text, message):
    write_header(text)
    each((*READING, "child"), f"{BEST}: {message}")


STATES = [
    (["progress"], [], "its training state is damaged: progress must be an object, found []"),
    (["progress"], ..., "its training state lacks progress"),
    (
        ["progress", "epoch"],
        -1,
        "its training state is damaged: progress.epoch must be 0 or more, {}",
    ),
    (["progress", "update"], 10**30, "its training state is damaged: progress.update must be a {}"),
    (
        ["progress", "loss_sum"],
        NAN,
        "its training state is damaged: progress.loss_sum must be a {}",
    ),
    (["progress", "history"], [1], "its training state is damaged: progress.history[0] must be {}"),
    (["progress", "at_once"], 0, "its training state is damaged: progress.at_once must be 1 or {}"),
    (
        ["weights"],
        {"a": "x"},
        'its training state is damaged: weights.a must be a tensor, found "x"',
    ),
    (["weights"], {}, "its training state does not fit the run ({}"),
    (["optimisation"], {}, "its training state does not fit the run ('optimizer')"),
    (["optimisation", "optimizer", "param_groups"], [], "its training state does not fit the {}"),
    (
        ["optimisation", "optimizer", "param_groups", 0, "weight_decay"],
        None,
        "its training state {}",
    ),
    (["header", "task"], "quux", "its task cannot be used: no task is called 'quux'; {}"),
    (["header", "std", "sar"], [0, 0, 0], f"{DAMAGED}std.sar[0] must be above 0, found 0"),
    (["header", "model", "options", "pretrained"], True, f"{DAMAGED}model.options.pretrained {{}}"),
    (["header", "way"], {"device": "cpu", "threads": "all"}, "its training state is damaged: {}"),
    (["identity"], 3, "its training state is damaged: identity must be an object, found 3"),
]


def test_a_training_state_made_by_hand(chain, unchanged, commands):
    import torch

    saved = torch.load(LAST, weights_only=True)
    saved["progress"] |= {"epoch": 0, "finished": ""}
    for keys, value, message in STATES:
        state = copy.deepcopy(saved)
        place = state
        for key in keys[:-1]:
            place = place[key]
        if value is ...:
            del place[keys[-1]]
        else:
            place[keys[-1]] = value
        torch.save(state, LAST)
        end = "" if message.endswith("{}") or message.startswith(DAMAGED) else ". Train again {}"
        unchanged(chain, commands["go on"], 3, f"{LAST}: {message}{end}")


def test_an_unknown_task_of_a_record(refused, damage):
    record = "submissions/preds.csv.meta.json"
    damage({record: '{"facts": {"task": "quux"}}'})
    for command in ("pseudolabel", "recalibrate", "ensemble", "submit"):
        told = "its facts.task cannot be used: no task is called 'quux'; did you mean {}?"
        refused(command, 3, f"{record}: {told}")


@pytest.mark.parametrize("key", ["reader", "metric"])
def test_code_that_came_with_a_checkpoint_is_not_run(chain, each, key):
    Path("weights/net/evil.py").write_text("open('ran', 'w')\ndef f(*a): return 0\n")
    write_header(json.dumps(changed_header({key: "weights/net/evil.py:f"})))
    each(
        (*READING, "child"),
        f"{BEST}: its {key} is a Python file of the run's own folder, which is not run (found "
        "'weights/net/evil.py:f'). Read the code, move it out of there and name it in "
        "comptool.toml",
    )
    assert not Path("ran").exists()


def test_a_variable_that_contradicts_is_named(refused, monkeypatch):
    monkeypatch.setenv("COMPTOOL_TASK", "ordinal")
    told = Path("comptool.toml")
    told.write_text(told.read_text().replace("[data]", '[data]\nclasses = ["a", "b", "c"]'))
    refused(
        READING["infer"],
        3,
        "weights/net: this run was trained for another competition; its task against the "
        "competition's: multiclass against ordinal. Name another run, or correct COMPTOOL_TASK",
    )
    facts = PredictionFacts(task="multiclass", classes=["a", "b", "c"])
    record(Path("submissions/preds.csv"), command="infer", arguments={}, facts=facts)
    refused(
        "submit",
        3,
        "submissions/preds.csv: these predictions are multiclass, and the competition is ordinal "
        "by COMPTOOL_TASK. Give the predictions of a run of this competition",
    )


@pytest.mark.parametrize("text", ["{", "null", '{"state": 3}', "[" * 100_000])
def test_a_damaged_record_of_a_run_is_told(chain, invoked, damage, text):
    damage({"weights/net/run.json": text})
    for command in ("infer", "tta", "evaluate"):
        result = invoked(*READING[command])
        assert result.exit_code == 0, result.output
        assert result.stderr.count("weights/net/run.json: ") == 1
        Path("new.csv").unlink(missing_ok=True)
    result = invoked("runs")
    assert result.exit_code == 0
    assert result.stdout.count("weights/net/run.json: ") == 1


def test_a_folded_run_with_a_damaged_record_is_not_taken_for_finished(chain, refused):
    Path("weights/net/run.json").write_text("null")
    Path("weights/net").rename("weights/fold-0")
    Path("weights/net").mkdir()
    Path("weights/fold-0").rename("weights/net/fold-0")
    Path("weights/net/run.json").write_text("null")
    refused(
        READING["infer"],
        3,
        "weights/net/run.json: its record is damaged: the top level must be an object, found null",
    )


@pytest.fixture
def attempts(monkeypatch) -> list[object]:
    """What was asked of the network, which is not there."""
    asked: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        asked.append(arguments[-1] if isinstance(arguments[0], socket.socket) else arguments)
        raise OSError("no network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    return asked


def test_the_guard_sees_a_download(chain, invoked, attempts, commands):
    """Otherwise the tests below would show nothing."""
    command = [*commands["train"], "--force"]
    command[command.index("--pretrained") + 1] = "yes"
    assert invoked(*command).exit_code == 3
    assert attempts


def test_no_checkpoint_reaches_for_the_network(chain, invoked, attempts, commands):
    import torch

    own = {
        **READING,
        "onnx": (*READING["infer"], "--backend", "onnx"),
        "torch": (*READING["infer"], "--backend", "torch"),
        "go on": commands["go on"],
        "child": commands["child"],
    }
    for asked, code in ((None, 0), (True, 3)):
        if asked:
            write_header(json.dumps(changed_header(options(pretrained=True))))
            state = torch.load(LAST, weights_only=True)
            state["progress"] |= {"epoch": 0, "finished": ""}
            state["header"] |= options(pretrained=True)
            torch.save(state, LAST)
            Path("weights/net/best.onnx").unlink(missing_ok=True)
        for name, command in own.items():
            force = () if name in ("go on", "evaluate") else ("--force",)
            result = invoked(*command, *force)
            wanted = 0 if name == "evaluate" else code
            assert result.exit_code == wanted, (name, result.output)
    assert attempts == []


def test_a_prior_does_not_reach_for_the_network(chain, invoked, attempts):
    rows = Path("data/train.csv").read_text().splitlines()
    cells = [f"{row[:-2]},{int(row[-1] == 'a')},{int(row[-1] != 'b')}" for row in rows[1:]]
    Path("data/train.csv").write_text("\n".join(["id,sar,eo,p,q", *cells]) + "\n")
    Path("data/sample.csv").unlink()
    text = Path("comptool.toml").read_text().replace('"multiclass"', '"multilabel"')
    text = text.replace('sample-submission = "sample.csv"\n', "").replace('"y"', '["p", "q"]')
    Path("comptool.toml").write_text(text.replace('"accuracy"', '"map"'))
    Path("folds.csv").unlink()
    Path("folds.csv.meta.json").unlink()
    tiny = ("--model", NAME, "--pretrained", "no", "--img-size", "32", "-j", "0", "--epochs", "1")
    done = invoked("train", *tiny, "-b", "8", "--run-name", "net", "--force", "--fold", "none")
    assert done.exit_code == 0, done.output
    assert invoked("prior", "net", "-o", "prior.csv").exit_code == 0
    write_header(json.dumps(changed_header(options(pretrained=True))))
    result = invoked("prior", "net", "-o", "prior.csv", "--force")
    assert (result.exit_code, attempts) == (3, [])
    assert f"{BEST}: {DAMAGED}model.options.pretrained is not an option" in result.stderr
