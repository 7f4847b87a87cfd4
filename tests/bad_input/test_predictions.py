"""Predictions that are no probabilities, or of other ids or classes; other sample submissions."""

from __future__ import annotations

import pytest

PREDS = "submissions/preds.csv"
READERS = ("pseudolabel", "recalibrate", "ensemble", "submit", "score")
SOFTMAX = "Logits or scores have to be turned into probabilities (softmax) first"
SUM = (
    "Multi-class predictions come from a softmax, and have no other columns than id, classes, pred "
    "and fold"
)


def third(row: str):
    """A change of the probabilities of the third row."""
    return lambda text: text.replace("0.5,0.3,0.2", row)


def columns(change):
    """A change of the cells of every line, the header being line 0."""

    def apply(text: str) -> str:
        lines = [line.split(",") for line in text.splitlines()]
        return "\n".join(",".join(change(n, cells)) for n, cells in enumerate(lines)) + "\n"

    return apply


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("", f"{PREDS}: is empty (0 bytes)"),
        ("id,a,b,c\n", f"{PREDS}: has a header and no rows"),
        (third("nan,0.3,0.2"), f"{PREDS}, row 3, column 'a': is not a number (NaN or blank) "
         "(found 'nan'). Make the predictions again"),
        (third("0.5,,0.2"), f"{PREDS}, row 3, column 'b': is not a number (NaN or blank) "
         "(found 'nan'). Make the predictions again"),
        (third("0.5,high,0.2"), f"{PREDS}, row 3, column 'b': is not a number (found 'high')"),
        (third("1.1,-0.3,0.2"), f"{PREDS}, row 3, column 'a': is not a probability between 0 and "
         f"1 (found '1.1', '-0.3'). {SOFTMAX}"),
        (third("0.5,-0.3,0.2"), f"{PREDS}, row 3, column 'b': is not a probability between 0 and "
         f"1 (found '-0.3'). {SOFTMAX}"),
        (third("4.5,-1.3,-3.2"), f"{PREDS}, row 3, column 'a': is not a probability between 0 and "
         f"1 (found '4.5', '-1.3', '-3.2'). {SOFTMAX}"),
        (third("inf,0,0"), f"{PREDS}, row 3, column 'a': is not a probability between 0 and 1 "
         f"(found 'inf'). {SOFTMAX}"),
        (third("0.9,0.8,0.7"), f"{PREDS}, row 3: the 3 probabilities of this row do not sum to one "
         f"(found '2.4000'). {SUM}"),
        (third("0.5,0.3,0.1,0.1"), f"{PREDS}, row 3: this row has 5 cells and the header has 4. A "
         "cell with a comma in it has to stand in quotes"),
        (lambda text: text.replace("0.98,0.01,0.01\n", "0.98,0.02\n", 1), f"{PREDS}, row 1: this "
         "row has 3 cells and the header has 4. Make the file again; a blank cell needs its comma "
         "too"),
        (lambda text: text.replace("t2,", "t1,"), f"{PREDS}, row 3, column 'id': duplicate id "
         "(found 't1')"),
        (lambda text: text.replace("t2,", ","), f"{PREDS}, row 3, column 'id': the id is blank"),
        (columns(lambda n, cells: [*cells, "0.4" if n else "entropy"]), f"{PREDS}, row 1: the 4 "
         "probabilities of this row do not sum to one (found '1.4000', '1.4000', '1.4000'). "
         f"{SUM}"),
        (columns(lambda n, cells: [*cells, f"p{n}.png" if n else "path"]), f"{PREDS}, row 1, "
         "column 'path': is not a number (found 'p1.png', 'p2.png', 'p3.png' and 3 more)"),
    ],
    ids=["empty", "header only", "NaN", "blank", "text", "above 1", "negative", "logits", "inf",
         "sigmoids", "ragged", "too short", "repeated id", "blank id", "extra number",
         "extra text"],
)  # fmt: skip
def test_predictions_that_are_no_probabilities(refused, damage, command, change, message):
    damage({PREDS: change})
    refused(command, 3, message)


@pytest.mark.parametrize("command", READERS)
def test_a_lost_class_is_named_where_the_classes_are_known(refused, damage, command):
    damage({PREDS: columns(lambda n, cells: cells[:3])})
    message = (
        f"{PREDS}: has no column for the class 'c' (its classes are 'a', 'b'). Bring the column "
        "back, or make the file again: comptool infer"
    )
    if command == "ensemble":
        message = (
            f"{PREDS}, row 1: the 2 probabilities of this row do not sum to one "
            f"(found '0.9900', '0.9900', '0.8000'). {SUM}"
        )
    refused(command, 3, message)


@pytest.mark.parametrize("command", READERS[:4])
def test_ids_alone(refused, damage, command):
    damage({PREDS: columns(lambda n, cells: cells[:1])})
    refused(command, 3, f"{PREDS}: has no probability column (found 'id')")


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("pseudolabel", 3, f"{PREDS}: 1 ids are not in data/test.csv (found 'x2')"),
        (
            ("ensemble", "other.csv", PREDS),
            3,
            f"{PREDS}: 1 ids are not in other.csv (found 'x2')",
        ),
        (
            "submit",
            4,
            f"{PREDS}, column 'id': 1 id of the sample submission missing: 't2'; 1 id not in the "
            "sample submission: 'x2'",
        ),
        (
            "score",
            3,
            f"{PREDS}: its ids are not those of data/answers.csv: 1 ids are missing: 't2'; 1 ids "
            "are not asked for: 'x2'",
        ),
    ],
)
def test_other_ids(chain, refused, damage, command, code, message):
    damage({"other.csv": (chain / PREDS).read_text()})
    damage({PREDS: lambda text: text.replace("t2,", "x2,")})
    refused(command, code, message)


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("pseudolabel", 3, f"{PREDS}: lacks 1 ids of data/test.csv (found 't5')"),
        (("ensemble", "other.csv", PREDS), 3, f"{PREDS}: lacks 1 ids of other.csv (found 't5')"),
        ("submit", 4, f"{PREDS}, column 'id': 1 id of the sample submission missing: 't5'"),
        (
            "score",
            3,
            f"{PREDS}: its ids are not those of data/answers.csv: 1 ids are missing: 't5'",
        ),
    ],
)
def test_fewer_ids(chain, refused, damage, command, code, message):
    damage({"other.csv": (chain / PREDS).read_text()})
    damage({PREDS: lambda text: text[: text.index("t5,")]})
    refused(command, code, message)


RECORDED = (
    f"{PREDS}: its class columns differ from those of its record: {{}}. If the file is right, "
    f"delete {PREDS}.meta.json"
)
COMPETITION = f"{PREDS}: its classes are not those of the competition: {{}}"
ORDER = "the same 3 in another order"
OTHER = "a, b, z against a, b, c"


@pytest.mark.parametrize(
    ("command", "header", "recorded", "code", "message"),
    [
        ("pseudolabel", "id,b,a,c", True, 3, RECORDED.format(ORDER)),
        ("recalibrate", "id,b,a,c", True, 3, RECORDED.format(ORDER)),
        ("pseudolabel", "id,b,a,c", False, 3, COMPETITION.format(ORDER)),
        ("submit", "id,b,a,c", True, 3, RECORDED.format(ORDER)),
        ("submit", "id,b,a,c", False, 4, COMPETITION.format(ORDER)),
        (
            ("ensemble", "other.csv", PREDS),
            "id,b,a,c",
            False,
            3,
            f"{PREDS}: has its classes in another order than other.csv (a, b, c) (found 'b', 'a', "
            "'c'). Make both with the same class order; columns are not reordered",
        ),
        ("pseudolabel", "id,a,b,z", True, 3, RECORDED.format(OTHER)),
        ("recalibrate", "id,a,b,z", True, 3, RECORDED.format(OTHER)),
        ("pseudolabel", "id,a,b,z", False, 3, COMPETITION.format(OTHER)),
        ("submit", "id,a,b,z", False, 4, COMPETITION.format(OTHER)),
        (
            ("ensemble", "other.csv", PREDS),
            "id,a,b,z",
            False,
            3,
            f"{PREDS}: has no column for the class 'c', which other.csv has, and one for 'z'. "
            "Bring the column back, or make the file again: comptool infer",
        ),
        (
            "score",
            "id,a,d,z",
            False,
            3,
            "data/answers.csv, row 2, column 'y': is a class that the submission "
            f"{PREDS} has no column for (found 'b')",
        ),
    ],
)
def test_other_classes_or_another_order(
    chain, refused, damage, command, header, recorded, code, message
):
    damage({"other.csv": (chain / PREDS).read_text()})
    damage({PREDS: lambda text: text.replace("id,a,b,c", header)})
    if not recorded:
        damage({f"{PREDS}.meta.json": None})
    refused(command, code, message)


@pytest.mark.parametrize("command", ["pseudolabel", "recalibrate", "ensemble", "submit"])
def test_a_record_that_is_damaged(refused, damage, command):
    damage({f"{PREDS}.meta.json": '{"facts": '})
    refused(
        command,
        3,
        f"{PREDS}.meta.json: is not readable as JSON (Expecting value: line 1 column 11 (char "
        "10)). Delete it, or make the file again",
    )


SAMPLE = "data/sample.csv"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda text: text.replace("t1,", "x1,"),
            "{file}, column 'id': 1 id of the sample submission missing: 'x1'; 1 id not in the "
            "sample submission: 't1'",
        ),
        (
            lambda text: text[: text.index("t5,")],
            "{file}, column 'id': 1 id not in the sample submission: 't5'",
        ),
        (
            lambda text: text + "t6,a\n",
            "{file}, column 'id': 1 id of the sample submission missing: 't6'",
        ),
        (
            columns(lambda n, cells: cells[:1]),
            f"{SAMPLE}: the sample submission has an id column and no column for answers",
        ),
        (
            columns(lambda n, cells: [cells[0], *("abz" if n == 0 else "000")]),
            f"{SAMPLE}: the sample submission asks for 'z', which is not a class; it has no column "
            "for 'c'",
        ),
    ],
    ids=["other ids", "fewer ids", "more ids", "ids alone", "other classes"],
)
@pytest.mark.parametrize(("command", "file"), [("submit", PREDS), ("check", "mine.csv")])
def test_another_sample_submission(refused, damage, command, file, change, told):
    damage({SAMPLE: change})
    refused(command, 4, told.replace("{file}", file))


def test_a_submission_in_another_order_than_the_sample(refused, damage):
    damage({SAMPLE: lambda text: "id,y\n" + "".join(reversed(text.splitlines(True)[1:]))})
    refused(
        "check",
        4,
        "mine.csv, row 1, column 'id': the id is 't0' where the sample submission has 't5'; the "
        "ids are in another order",
    )


@pytest.mark.parametrize("label", ["q", "", "nan", "0.3"])
def test_a_submission_with_a_class_that_there_is_not(refused, damage, label):
    damage({"mine.csv": lambda text: text.replace("t1,a", f"t1,{label}")})
    refused(
        "check",
        4,
        f"mine.csv, row 2, column 'y': no such class; the classes are 'a', 'b', 'c' (found "
        f"'{label}')",
    )
