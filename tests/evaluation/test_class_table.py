from __future__ import annotations

import numpy as np

from comptool.io.tables import read_table, write_table
from comptool.reports.score import class_table, table_text

CLASSES = ["roof, tiled", "海", "cars", "none"]
TARGETS = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, -1, -1], [0, 1, 0, 0]])
PROBABILITIES = np.array(
    [[0.9, 0.6, 0.2, 0.1], [0.8, 0.7, 0.6, 0.2], [0.7, 0.4, 0.9, 0.3], [0.1, 0.5, 0.1, 0.9]]
)


def test_the_worst_class_stands_first_and_the_unmeasured_last():
    table = class_table(TARGETS, PROBABILITIES, CLASSES)
    # Of equal classes the first in class order stands first.
    assert table["class"].tolist() == ["cars", "roof, tiled", "海", "none"]
    np.testing.assert_allclose(table["average_precision"], [1 / 2, 5 / 6, 5 / 6, np.nan])
    roof = table.set_index("class").loc["roof, tiled"]
    assert roof[["roc_area", "precision", "recall"]].tolist() == [0.75, 2 / 3, 1.0]
    assert roof[["present", "absent", "unknown"]].tolist() == [2, 2, 0]
    cars = table.set_index("class").loc["cars"]
    assert cars[["precision", "recall", "f1"]].tolist() == [0.0, 0.0, 0.0]
    assert cars[["present", "absent", "unknown"]].tolist() == [1, 2, 1]


def test_the_text_has_every_class_the_means_and_what_was_left_out():
    table = class_table(TARGETS, PROBABILITIES, CLASSES)
    lines = table_text(table).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["cars", "roof,", "海"]
    means = table[["average_precision", "roc_area", "f1"]].mean()
    assert lines[4:] == [
        f"mean of 3 classes: average precision {means.iloc[0]:.4f}, ROC area {means.iloc[1]:.4f}, "
        f"F1 {means.iloc[2]:.4f}",
        "left out, without a present cell: 'none'",
    ]


def test_a_table_without_a_measured_class_says_so():
    table = class_table(TARGETS[:, 3:], PROBABILITIES[:, 3:], ["none"])
    assert table_text(table) == "left out, without a present cell: 'none'"


def test_the_csv_reads_back_with_blanks_for_what_is_not_there(tmp_path):
    write_table(tmp_path / "classes.csv", class_table(TARGETS, PROBABILITIES, CLASSES))
    back = read_table(tmp_path / "classes.csv")
    assert back["class"].tolist()[-1] == "none"
    assert back["average_precision"].tolist()[-1] == ""
    assert float(back["average_precision"][0]) == 0.5
