"""The pretended card itself: copies of page-locked memory come as late as CUDA allows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PROGRAM = """
import json
import card
import torch

card.install()
found = {}
there = torch.zeros(2, device="cuda")

source = torch.ones(2, pin_memory=True)
there.copy_(source, non_blocking=True)
source.fill_(2)  # too early
found["to the card"] = there.tolist()

place = torch.zeros(2, pin_memory=True)
place.copy_(there + 1, non_blocking=True)
early = place.tolist()
torch.cuda.synchronize()
found["to the host"] = [early, place.tolist()]

source, copies = torch.full((2,), 4.0, pin_memory=True), torch.cuda.Stream()
with torch.cuda.stream(copies):
    there.copy_(source, non_blocking=True)
early = there + 0
torch.cuda.current_stream().wait_stream(copies)
found["on another stream"] = [early.tolist(), (there + 0).tolist()]

source = torch.ones(2)
there.copy_(source, non_blocking=True)
source.fill_(2)
found["not page-locked"] = there.tolist()
print(json.dumps(found))
"""


def test_copies_are_late_until_they_are_waited_for(tmp_path, on_card, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    program = tmp_path / "late.py"
    program.write_text(PROGRAM)
    assert json.loads(on_card(program=program).output) == {
        "to the card": [2, 2],
        "to the host": [[0, 0], [3, 3]],
        "on another stream": [[2, 2], [4, 4]],
        "not page-locked": [1, 1],
    }


def test_a_warning_of_torch_fails_a_test(tmp_path, on_card):
    program = tmp_path / "warns.py"
    program.write_text("import warnings\nwarnings.warn('odd')\n")
    ran = on_card(program=program, warns="odd")
    (line,) = ran.warnings
    assert line.endswith("UserWarning: odd")
    with pytest.raises(AssertionError, match="odd"):
        on_card(program=program)
