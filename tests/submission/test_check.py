"""What an organiser refuses."""

from __future__ import annotations

import pandas as pd
import pytest

from comptool.errors import SubmissionError
from comptool.submission.delivery import check
from comptool.submission.form_choice import read_layout

LABELS = "id,y\n1,a\n2,a\n3,a\n"
NUMBERS = "id,y\n1,0\n2,0\n3,0\n"
PROBABILITIES = "id,a,b\n1,.5,.5\n2,.5,.5\n3,.5,.5\n"
SCORES = "id,y,score\n1,a,.5\n2,a,.5\n3,a,.5\n"
JOINED = "id,y\n1,a b\n2,a\n3,b\n"


def table(text: str) -> pd.DataFrame:
    header, *rows = (line.split(",") for line in text.splitlines())
    return pd.DataFrame(rows, columns=header, dtype=object)


def refusal(text: str, sample: str, classes=("a", "b")) -> str:
    wanted = table(sample)
    with pytest.raises(SubmissionError) as error:
        check(table(text), wanted, read_layout(wanted, classes, "multiclass"), "s.csv")
    return str(error.value)


@pytest.mark.parametrize("sample", [LABELS, PROBABILITIES, SCORES, JOINED])
def test_the_sample_itself_passes(sample):
    check(table(sample), table(sample), read_layout(table(sample), ("a", "b"), "multiclass"), "s")


@pytest.mark.parametrize(
    ("sample", "old", "new", "message"),
    [
        (LABELS, "id,y", "id,Y", "s.csv: the header is id,Y; the sample submission has id,y"),
        (PROBABILITIES, "id,a,b", "id,b,a",
         "s.csv: the header is id,b,a; the sample submission has id,a,b"),
        (LABELS, "2,a\n", "", "s.csv, column 'id': 1 id of the sample submission missing: '2'"),
        (LABELS, "2,a\n", "4,a\n5,a\n",
         "s.csv, column 'id': 1 id of the sample submission missing: '2'; "
         "2 ids not in the sample submission: '4', '5'"),
        (LABELS, "2,a", "02,a", "s.csv, column 'id': 1 id of the sample submission missing: '2'; "
         "1 id not in the sample submission: '02'"),
        (LABELS, "2,a\n", "2,a\n2,b\n", "s.csv, row 3, column 'id': repeated ids: '2'"),
        (LABELS, "1,a\n2,a", "2,a\n1,a",
         "s.csv, row 1, column 'id': the id is '2' where the sample submission has '1'; "
         "the ids are in another order"),
        (LABELS, "2,a", "2,c", "s.csv, row 2, column 'y': no such class; the classes are "
         "'a', 'b' (found 'c')"),
        (LABELS, "2,a", "2,", "s.csv, row 2, column 'y': no such class; the classes are "
         "'a', 'b' (found '')"),
        (JOINED, "2,a", "2,a c", "s.csv, row 2, column 'y': a class that is unknown; they are "
         "'a', 'b' (found 'a c')"),
        (PROBABILITIES, "2,.5", "2,nan",
         "s.csv, row 2, column 'a': not a finite number (found 'nan')"),
        (PROBABILITIES, "2,.5", "2,", "s.csv, row 2, column 'a': not a finite number (found '')"),
        (PROBABILITIES, "2,.5", "2,inf",
         "s.csv, row 2, column 'a': not a finite number (found 'inf')"),
        (PROBABILITIES, "2,.5", "2,half",
         "s.csv, row 2, column 'a': not a finite number (found 'half')"),
        (PROBABILITIES, "2,.5", "2,-.1",
         "s.csv, row 2, column 'a': not a probability between 0 and 1 (found '-.1')"),
        (SCORES, "2,a,.5", "2,a,1.5",
         "s.csv, row 2, column 'score': not a probability between 0 and 1 (found '1.5')"),
    ],
)  # fmt: skip
def test_a_fault_is_named_by_row_and_column(sample, old, new, message):
    assert old in sample
    assert refusal(sample.replace(old, new, 1), sample) == message


def test_without_known_classes_whole_numbers_are_still_asked_for():
    assert refusal(NUMBERS.replace("2,0", "2,0.0"), NUMBERS, None) == (
        "s.csv, row 2, column 'y': not a whole number, as the sample submission has (found '0.0')"
    )


def test_class_numbers_end_with_the_classes():
    assert refusal(NUMBERS.replace("2,0", "2,2"), NUMBERS) == (
        "s.csv, row 2, column 'y': no such class; the classes are '0', '1' (found '2')"
    )
