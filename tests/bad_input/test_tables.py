"""Tables that are missing, empty, without a column or an id, on every command that reads them."""

from __future__ import annotations

import pytest

TRAIN = "data/train.csv"
TEST = "data/test.csv"
# Without folds.csv, split and train read the training table; with it, train reads only that.
NO_FOLDS = {"folds.csv": None, "folds.csv.meta.json": None}
READERS = {
    TRAIN: ("split", "train", "infer", "tta", "pseudolabel", "submit", "check"),
    TEST: ("infer", "tta", "pseudolabel"),
    "folds.csv": ("train",),
    "data/sample.csv": ("submit", "check"),
}
LABELLED = ("split", "train", "pseudolabel")


def all_of(table: str, commands: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return [(table, command) for command in commands or READERS[table]]


@pytest.mark.parametrize(
    ("table", "command", "key"),
    [
        *((*pair, "train") for pair in all_of(TRAIN)),
        *((*pair, "test") for pair in all_of(TEST)),
        *((*pair, "sample-submission") for pair in all_of("data/sample.csv")),
    ],
)
def test_a_missing_table_of_the_competition(refused, damage, table, command, key):
    damage(NO_FOLDS | {table: None})
    refused(
        command,
        3,
        f"{table}: there is no such file or folder. Correct '{key}' in comptool.toml (or its "
        "option or variable)",
    )


@pytest.mark.parametrize(
    "command",
    [
        ("split", "gone.csv", "-o", "new.csv"),
        ("train", "--folds", "gone.csv", "--run-name", "new"),
        ("train", "--extra", "gone.csv", "--run-name", "new"),
        ("infer", "--test", "gone.csv", "-o", "new.csv"),
        ("tta", "--test", "gone.csv", "-o", "new.csv"),
        ("pseudolabel", "--test", "gone.csv"),
        ("pseudolabel", "--previous", "gone.csv"),
        ("pseudolabel", "gone.csv"),
        ("recalibrate", "gone.csv"),
        ("ensemble", "submissions/preds.csv", "gone.csv"),
        ("submit", "gone.csv"),
        ("submit", "--check-only", "gone.csv"),
        ("submit", "--sample-submission", "gone.csv"),
        ("score", "gone.csv", "--answers", "data/answers.csv"),
        ("score", "mine.csv", "--answers", "gone.csv"),
    ],
    ids=" ".join,
)
def test_a_missing_file_that_was_named(refused, command):
    refused(command, 3, "gone.csv: there is no such file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty (0 bytes)"),
        ("id,sar,eo,y,fold\n", "has a header and no rows"),
        ("id,sar,eo,y,fold,y\n1,a,b,c,0,d\n", "the header repeats a column (found 'y')"),
        ("id,sar,eo,,fold\n1,a,b,c,0\n", "the header has a column without a name (found 'id', "
         "'sar', 'eo' and 2 more)"),
        ("id,y,sar,eo,fold\n1,a,b,c,0\n2,a,b,c,d,e,0\n", ", row 2: this row has 7 cells and the "
         "header has 5. A cell with a comma in it has to stand in quotes"),
        ("id,y,sar,eo,fold\n1,a,b,c,0\n2,a,\"b,c,0\n", "is not a CSV table (EOF inside string "
         "starting at row 2)"),
        (b"id,y\nstra\xdfe\0,a\n", "is not UTF-8 text. Save it as UTF-8 and try again"),
    ],
    ids=["empty", "header only", "repeated", "nameless", "ragged", "open quote", "binary"],
)  # fmt: skip
@pytest.mark.parametrize(("table", "command"), [pair for name in READERS for pair in all_of(name)])
def test_a_table_that_is_none(refused, damage, table, command, text, message):
    damage((NO_FOLDS if table == TRAIN else {}) | {table: text})
    refused(command, 3, f"{table}{'' if message.startswith(',') else ': '}{message}")


@pytest.mark.parametrize(
    ("table", "command"),
    [*all_of(TRAIN, LABELLED), *all_of(TEST), *all_of("folds.csv")],
)
def test_a_missing_id_column(refused, damage, table, command):
    damage((NO_FOLDS if table == TRAIN else {}) | {table: lambda text: "key" + text[2:]})
    refused(
        command,
        3,
        f"{table}: no column is called 'id' (found 'key', 'sar', 'eo'{{}}). Name the id column "
        "with 'id' in comptool.toml",
    )


@pytest.mark.parametrize(
    ("table", "command"),
    [*all_of(TRAIN, LABELLED), *all_of(TEST), *all_of("folds.csv")],
)
def test_a_missing_path_column(refused, damage, table, command):
    changed = {table: lambda text: text.replace("id,sar,eo", "id,radar,eo", 1)}
    damage((NO_FOLDS if table == TRAIN else {}) | changed)
    refused(
        command,
        3,
        f"{table}: no column is called 'sar', which should hold the image paths (found 'id', "
        "'radar', 'eo'{}). Correct [modalities] in comptool.toml",
    )


@pytest.mark.parametrize(("table", "command"), [*all_of(TRAIN, LABELLED), *all_of("folds.csv")])
def test_a_missing_label_column(refused, damage, table, command):
    changed = {table: lambda text: text.replace("eo,y", "eo,kind", 1)}
    damage((NO_FOLDS if table == TRAIN else {}) | changed)
    refused(
        command,
        3,
        f"{table}: no column is called 'y' (found 'id', 'sar', 'eo' and {{}} more). Name the label "
        "column with 'label' in comptool.toml",
    )


@pytest.mark.parametrize(
    ("table", "command"),
    [*all_of(TRAIN, LABELLED), *all_of(TEST), *all_of("folds.csv"), *all_of("data/sample.csv")],
)
def test_an_id_that_is_there_twice_or_blank(refused, damage, table, command):
    def spoil(text: str, third: str) -> str:
        lines = text.splitlines()
        first = lines[1].partition(",")[0]
        lines[3] = ",".join([first if third == "twice" else "", *lines[3].split(",")[1:]])
        return "\n".join(lines) + "\n"

    damage((NO_FOLDS if table == TRAIN else {}) | {table: lambda text: spoil(text, "twice")})
    first = "s00" if table in (TRAIN, "folds.csv") else "t0"
    refused(command, 3, f"{table}, row 3, column 'id': duplicate id (found '{first}')")
    damage({table: lambda text: spoil(text, "blank")})
    refused(command, 3, f"{table}, row 3, column 'id': the id is blank")
