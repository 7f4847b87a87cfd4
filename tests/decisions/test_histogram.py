from __future__ import annotations

from comptool.postprocess.calibration.recalibration import SHOWN_CLASSES, count_table


def test_notes_are_not_summed():
    text = count_table(["a", "bb"], {"before": [1, 20], "role": ["head", "tail"]})
    assert text.splitlines() == [
        "class  before  role",
        "a           1  head",
        "bb         20  tail",
        "sum        21",
    ]


def test_of_many_classes_those_that_changed_most_are_shown():
    names = [f"c{index}" for index in range(60)]
    before, after = [10] * 60, [10] * 59 + [99]
    lines = count_table(names, {"before": before, "after": after}).splitlines()
    assert len(lines) == SHOWN_CLASSES + 3
    assert "c59" in lines[-3]
    assert lines[-2].split() == ["sum", "600", "689"]
    assert lines[-1] == "(20 classes that changed less are not shown)"
