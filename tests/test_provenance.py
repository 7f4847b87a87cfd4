"""What is recorded beside an output."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from comptool import __version__
from comptool.errors import InputError
from comptool.io import provenance
from comptool.io.provenance import PredictionFacts


def test_a_record_says_what_made_the_file_from_what(tmp_path):
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(b"abc")
    output.write_text("x")
    provenance.record(
        output,
        command="split",
        arguments={"val": 0.2, "to": Path("a")},
        inputs=[source],
        facts={"k": 1},
    )
    document = json.loads((tmp_path / "out.csv.meta.json").read_text())
    assert document["command"] == "split"
    assert document["arguments"] == {"val": 0.2, "to": "a"}
    assert document["inputs"] == {str(source): hashlib.sha256(b"abc").hexdigest()}
    assert document["versions"]["comptool"] == __version__
    assert document["facts"] == provenance.recall(output).facts == {"k": 1}


def test_a_second_record_replaces_the_first(tmp_path):
    output = tmp_path / "out.csv"
    for k in (1, 2):
        provenance.record(output, command="x", arguments={}, facts={"k": k})
    assert provenance.recall(output).facts == {"k": 2}


def test_a_file_without_a_record_has_no_facts(tmp_path):
    assert provenance.recall(tmp_path / "x.csv") is None
    assert provenance.facts(tmp_path / "x.csv", PredictionFacts) == PredictionFacts()


@pytest.mark.parametrize("text", ["{", "\x00"])
def test_a_broken_record_is_named(tmp_path, text):
    (tmp_path / "x.csv.meta.json").write_text(text)
    with pytest.raises(InputError, match=r"x\.csv\.meta\.json: is not readable as JSON \("):
        provenance.recall(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("text", "damage"),
    [
        ("[1]", "the top level must be an object, found [1]"),
        ('{"facts": [1]}', "facts must be an object, found [1]"),
        ('{"inputs": {"a.csv": 3}}', "inputs.a.csv must be text, found 3"),
        ('{"command": null}', "command must be text, found null"),
    ],
)
def test_a_damaged_record_is_named_with_its_key(tmp_path, text, damage):
    (tmp_path / "x.csv.meta.json").write_text(text)
    with pytest.raises(InputError) as refusal:
        provenance.recall(tmp_path / "x.csv")
    assert str(refusal.value) == (
        f"{tmp_path}/x.csv.meta.json: its record is damaged: {damage}. Delete it, or make the file "
        "again"
    )


def test_a_folder_is_recorded_without_a_hash(tmp_path):
    assert provenance.hashes([tmp_path]) == {str(tmp_path): None}
