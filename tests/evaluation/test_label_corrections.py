from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.competition.samples import Samples
from comptool.errors import InputError
from comptool.io.tables import write_table
from comptool.label_review.corrections import apply_corrections, apply_to_lists, read_corrections

CLASSES = ["sea", "roof, tiled"]


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "img": ["007", "7", "NA"],
            "path": ["a.png", "b.png", "c.png"],
            "sea": ["0", "1", ""],
            "roof, tiled": ["1", "-1", "0"],
        }
    )


def corrections(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id", "class", "label"], dtype=object)


def test_the_named_cells_change_and_no_others(tmp_path):
    rows = corrections(
        ("007", "sea", "1"), ("NA", "sea", "0"), ("NA", "roof, tiled", "-1"), ("7", "sea", "1")
    )
    write_table(tmp_path / "corrections.csv", rows)
    before = table()
    corrected = apply_corrections(
        before, read_corrections(tmp_path / "corrections.csv"), id_column="img", classes=CLASSES
    )
    expected = table().assign(**{"sea": ["1", "1", "0"], "roof, tiled": ["1", "-1", "-1"]})
    pd.testing.assert_frame_equal(corrected.frame, expected)
    pd.testing.assert_frame_equal(before, table())
    assert corrected.text() == "corrections: 3 cells changed; 1 had the label already"


def test_the_review_itself_is_no_corrections(tmp_path):
    path = tmp_path / "review.csv"
    write_table(path, corrections(("007", "sea", "0")).assign(suggested="1"))
    with pytest.raises(InputError, match=r"the review itself.*tick the cells.*page exports"):
        read_corrections(path)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["007", "7", "NA"]), st.sampled_from(CLASSES)),
        st.sampled_from(["0", "1", "-1", ""]),
    )
)
def test_corrections_are_followed_in_any_order_and_once_is_enough(said):
    rows = [(*cell, label) for cell, label in said.items()]
    first = apply_corrections(table(), corrections(*rows), id_column="img", classes=CLASSES)
    again = apply_corrections(
        first.frame, corrections(*reversed(rows), *rows), id_column="img", classes=CLASSES
    )
    pd.testing.assert_frame_equal(first.frame, again.frame)
    assert (again.changed, again.unchanged) == (0, len(rows))
    for row in table().itertuples():
        for name in CLASSES:
            now = first.frame.set_index("img").loc[row.img, name]
            assert now == said.get((row.img, name), table().set_index("img").loc[row.img, name])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("8", "sea", "1"), "row 2, column 'id': there is no such id in the table (found '8')"),
        (
            ("7", "see", "1"),
            "row 2, column 'class': there is no such class in the table; did you mean 'sea' or "
            "'roof, tiled' (found 'see')",
        ),
        (
            ("7", "path", "1"),
            "row 2, column 'class': there is no such class in the table; did you mean "
            "'sea' or 'roof, tiled' (found 'path')",
        ),
        (("7", "sea", "2"), "row 2, column 'label': is none of 1, 0, -1 and blank (found '2')"),
        (("7", "sea", "yes"), "row 2, column 'label': is none of 1, 0, -1 and blank (found 'yes')"),
        (
            ("007", "sea", "0"),
            "row 2, column 'label': another row says otherwise of '007' and 'sea' (found '0')",
        ),
    ],
)
def test_a_correction_that_cannot_be_followed_is_refused(tmp_path, row, message):
    rows = corrections(("007", "sea", "1"), row)
    path = tmp_path / "corrections.csv"
    with pytest.raises(InputError) as error:
        apply_corrections(table(), rows, id_column="img", classes=CLASSES, file=path)
    assert str(error.value) == f"{path}, {message}"


def test_a_file_without_the_three_columns_is_refused(tmp_path):
    path = tmp_path / "corrections.csv"
    path.write_text("id,class\n7,sea\n")
    with pytest.raises(InputError, match="no column is called 'label'"):
        read_corrections(path)


def listed(*lists: str, classes: tuple[str, ...]) -> Samples:
    frame = pd.DataFrame({"img": [str(n) for n in range(len(lists))], "tags": lists}, dtype=object)
    return Samples(frame, Path(), "img", {}, "tags", None, Path("t.csv"), classes)


@pytest.mark.parametrize(
    ("lists", "classes", "expected"),
    [
        (("a b", "", "b"), ("a", "b"), ["a b", "b", "b a"]),
        (("a,b", "", "b"), ("a", "b"), ["a,b", "b", "b, a"]),
        (("roof", "", "roof"), ("bare soil", "roof"), ["roof", "roof", "roof, bare soil"]),
    ],
)
def test_a_list_is_joined_as_the_others_of_its_column(lists, classes, expected):
    first, second = classes
    rows = corrections(("1", second, "1"), ("2", first, "1"))
    corrected = apply_to_lists(listed(*lists, classes=classes), rows)
    assert corrected.frame["tags"].tolist() == expected


@settings(deadline=None)
@given(
    st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=6),
    st.dictionaries(
        st.tuples(st.integers(0, 1), st.integers(0, 2)), st.sampled_from("01"), max_size=6
    ),
    st.sampled_from([("a", "b", "c"), ("bare soil", "b/d", "Ä")]),
)
def test_lists_say_after_corrections_what_columns_would(present, said, classes):
    joint = ", " if " " in classes[0] else " "
    lists = [
        joint.join(name for name, yes in zip(classes, row, strict=True) if yes) for row in present
    ]
    rows = corrections(*((str(row), classes[place], to) for (row, place), to in said.items()))
    corrected = apply_to_lists(listed(*lists, classes=classes), rows)
    expected = np.array(present, dtype=np.int8)
    for (row, place), label in said.items():
        expected[row, place] = int(label)
    after = listed(*corrected.frame["tags"], classes=classes)
    np.testing.assert_array_equal(after.label_matrix(), expected)
    assert corrected.changed == (expected != np.array(present)).sum()
    assert corrected.changed + corrected.unchanged == len(said)
