"""The short benchmark works on a pretended card, row after row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SHORT = Path(__file__).with_name("short.py")


@pytest.mark.slow
def test_every_row_is_measured_and_kept(tmp_path, on_card):
    kept = tmp_path / "short.json"
    ran = on_card("--tiny", "--output", kept, program=SHORT)
    found = json.loads(kept.read_text())
    assert found["device"] == "Pretended card 0"
    assert [name for name, row in found["rows"].items() if "unmeasured" in row] == []
    assert [line.partition(": ")[0] for line in ran.output.splitlines()[:-1]] == list(found["rows"])


@pytest.mark.slow
def test_rows_without_time_say_so(tmp_path, on_card):
    kept = tmp_path / "short.json"
    on_card("--tiny", "--seconds", "1", "--output", kept, program=SHORT)
    rows = json.loads(kept.read_text())["rows"]
    assert len(rows) == 5
    assert {row["unmeasured"] for row in rows.values()} == {"no time left"}
