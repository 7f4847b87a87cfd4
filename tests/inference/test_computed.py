"""The record of predictions says how they were really computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comptool.io.provenance import PredictionFacts
from comptool.io.records import Computed
from comptool.postprocess.inputs import shared_facts

ON_CPU = {"device": "cpu", "precision": "float32"}


@pytest.mark.parametrize(
    ("given", "computed"),
    [
        ((), ON_CPU | {"backend": "onnx"}),
        (("--backend", "torch"), ON_CPU),
        (("--bf16",), ON_CPU | {"precision": "bfloat16"}),
    ],
)
def test_predictions_of_a_cpu(given, computed, pairs, comptool):
    pairs("one")
    result = comptool("infer", "one", "--device", "cpu", *given, "-o", "card.csv")
    assert result.exit_code == 0, result.stderr
    document = json.loads(Path("card.csv.meta.json").read_text())
    assert document["facts"]["computed"] == computed


def test_an_ensemble_is_not_computed_as_its_members():
    ways = (
        Computed(device="cpu", precision="float32"),
        Computed(device="cuda:0", precision="float16"),
    )
    facts, notes = shared_facts(
        {Path(f"{number}.csv"): PredictionFacts(computed=way) for number, way in enumerate(ways)}
    )
    assert facts.computed is None
    assert notes == []
