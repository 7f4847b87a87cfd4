"""What a card computes wrongly is turned off, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small import TRAIN

FAULTY = Path(__file__).with_name("faulty.py")
ONCE = (*TRAIN, "--epochs", "1", "--force", "--data-on", "cpu", "--workers", "0")
INFER = ("infer", "one", "--batch-size", "4", "--test", "test.csv", "-o", "card.csv", "--force")
USED = {
    "device": "cuda:0",
    "card": "Pretended card 0",
    "backend": "torch",
    "precision": "bfloat16",
    "tf32": False,
    "compiled": False,
    "asynchronous_copies": True,
    "deterministic": False,
    "fallbacks": [],
}
# The sentence begins and ends with this; the rest are figures.
SENTENCES = {
    "bf16": (
        "training in bfloat16 is off: its self-check failed on Pretended card 0 (",
        "); float32 is used, until 'comptool doctor --again' finds it right",
    ),
    "fp16": (
        "prediction in float16 is off: its self-check failed on Pretended card 0 (",
        "); float32 is used, until 'comptool doctor --again' finds it right",
    ),
    "copies": (
        "asynchronous copying is off: its self-check failed on Pretended card 0 (",
        "); each copy is waited for, until 'comptool doctor --again' finds it right",
    ),
    "memory": (
        "asynchronous copying is off: its self-check failed on Pretended card 0 (it does not run: "
        "CUDA out of memory.",
        "); each copy is waited for, until 'comptool doctor --again' finds it right",
    ),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COMPTOOL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "autotune"


def computed(path: str) -> dict:
    document = json.loads(Path(path).read_text())
    return document.get("facts", document)["computed"]


def fallback(found: dict, fault: str) -> str:
    (sentence,) = found["fallbacks"]
    begin, end = SENTENCES[fault]
    assert sentence.startswith(begin) and sentence.endswith(end), sentence
    return sentence


def test_a_right_card_is_used_whole_and_checked_once(folder, cache, on_card):
    ran = on_card(*ONCE, "--run-name", "one")
    assert "self-check" not in ran.errors
    assert computed("weights/one/run.json") == USED
    checks = {path.name.partition("-")[2]: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert checks.keys() == {"bf16.json", "copies.json"}
    # A result that is kept is taken as it is.
    (kept,) = cache.glob("*-bf16.json")
    document = json.loads(kept.read_text())
    document["found"]["failed"] = "an earlier failure"
    kept.write_text(json.dumps(document))
    again = on_card(*ONCE, "--run-name", "one")
    assert (
        again.errors.count("bfloat16 is off: its self-check failed on Pretended card 0 (an e") == 1
    )
    assert computed("weights/one/run.json")["precision"] == "float32"
    asked = on_card(*ONCE, "--run-name", "one", "--amp", "bf16")
    assert (
        "WARNING: the self-check of training in bfloat16 failed on Pretended card 0" in asked.errors
    )
    assert "(an earlier failure); it is used all the same, as --amp bf16 asks" in asked.errors
    assert computed("weights/one/run.json")["precision"] == "bfloat16"


@pytest.mark.parametrize(
    ("fault", "changed"),
    [
        ("bf16", {"precision": "float32", "tf32": True}),
        ("copies", {"asynchronous_copies": False}),
        pytest.param("memory", {"asynchronous_copies": False}, marks=pytest.mark.slow),
    ],
)
def test_a_fault_in_training_turns_off_that_thing_alone(fault, changed, folder, cache, on_card):
    ran = on_card(*ONCE, "--run-name", "one", program=FAULTY, fault=fault)
    found = computed("weights/one/run.json")
    sentence = fallback(found, fault)
    assert ran.errors.count(sentence) == 1
    assert found == USED | changed | {"fallbacks": [sentence]}
    assert "Traceback" not in ran.errors
    # Memory may be free the next time.
    assert bool(list(cache.glob("*-copies.json"))) == (fault != "memory")


@pytest.mark.parametrize("fault", ["fp16", pytest.param("copies", marks=pytest.mark.slow)])
def test_a_fault_in_prediction_turns_off_that_thing_alone(fault, folder, on_card):
    on_card(*ONCE, "--run-name", "one")
    used = USED | {"precision": "float16"}
    on_card(*INFER)
    assert computed("card.csv.meta.json") == {
        name: value for name, value in used.items() if value not in (False, [], "torch")
    }
    for kept in Path("cache/autotune").iterdir():
        kept.unlink()
    ran = on_card(*INFER, program=FAULTY, fault=fault)
    found = computed("card.csv.meta.json")
    sentence = fallback(found, fault)
    assert ran.errors.count(f"warning: {sentence}") == 1
    wanted = {"precision": "float32" if fault == "fp16" else "float16"}
    if fault == "fp16":
        wanted["asynchronous_copies"] = True
    assert {name: found.get(name) for name in wanted} == wanted
    assert ("asynchronous_copies" in found) == (fault == "fp16")


@pytest.mark.slow
def test_doctor_says_what_is_on_and_repeats_a_check_when_asked(folder, cache, on_card):
    first = json.loads(on_card("doctor", "--json").output)
    assert [one["what"] for one in first["defaults"] if not one["on"]] == []
    assert first["device"] == "cuda:0" and "Pretended card 0" in first["devices"][0]
    assert {speed["what"] for speed in first["speeds"]} == {"training", "prediction"}
    (kept,) = cache.glob("*-tf32.json")
    document = json.loads(kept.read_text())
    document["found"]["failed"] = "an earlier failure"
    kept.write_text(json.dumps(document))
    text = on_card("doctor", "-q").output
    (line,) = (line for line in text.splitlines() if "TF32" in line)
    assert "off  self-check failed: an earlier failure; all bits of float32" in line
    assert line.endswith("(an earlier result)")
    again = json.loads(on_card("doctor", "--again", "--json").output)
    assert [one["what"] for one in again["defaults"] if not one["on"]] == []


def test_doctor_says_why_a_gpu_is_not_used(folder, on_card):
    ran = on_card("doctor", "-q", check=False, status=35, warns="CUDA initialization")
    assert ran.code == 3
    assert "versions" in ran.output
    (line,) = (line for line in ran.errors.splitlines() if line.startswith("comptool doctor: "))
    assert "this machine has a GPU that torch" in line and "driver" in line
