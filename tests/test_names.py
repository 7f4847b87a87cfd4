"""Names that are ugly but allowed come back from every file; others are refused on writing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from comptool.commands.app import app
from comptool.errors import InputError, OutputError, UsageError, quoted, visible
from comptool.io.atomic import atomic_output, refuse_existing
from comptool.io.predictions import Predictions, read_predictions, write_predictions
from comptool.io.records import header_of
from comptool.io.runs import read_header
from comptool.io.tables import read_table, write_table
from comptool.training.resume import run_folder

UGLY = [
    "two\nlines", "a\rb", "a\r\nb", "\ufeffmark", " blanks ", '"quoted"', 'q"q', "'", "a,b", "a;b",
    "a\tb", "#hash", "=1+1", "+1", "-1", "@x", "caf\u00e9", "cafe\u0301", "\u202eright to left",
    "\x1b[31mred", "\u2028", "x" * 10_000, "\u6771" * 100, "<script>alert(1)</script>", "NA", "1e5",
]  # fmt: skip
LOST = {"nul\0": "has a NUL", "\ud800": "has half a character"}
texts = st.sampled_from(UGLY) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8
)
names = texts.filter(lambda text: text.strip())
unique = st.lists(names, min_size=3, max_size=5, unique=True)
TAKEN = {"id", "pred", "fold", "zero_is_unknown"}
READ = pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".npy"])


def predicted(ids: list[str], classes: list[str], id_column: str = "id") -> Predictions:
    even = np.full((len(ids), len(classes)), 1 / len(classes), dtype=np.float32)
    answers = np.array([classes[0]] * len(ids), dtype=object)
    return Predictions(
        np.array(ids, dtype=object), tuple(classes), even, pred=answers, id_column=id_column
    )


@settings(max_examples=60)
@given(
    unique,
    unique.filter(lambda found: not TAKEN & set(found)),
    st.sampled_from([".csv", ".csv.gz", ".parquet", ".npy"]),
)
@example(UGLY, [one for one in UGLY if one.strip()], ".csv")
@example(UGLY, [one for one in UGLY if one.strip()], ".npy")
@example(["0", "00"], ["cat", "0", ".DICOM"], ".csv")
def test_ids_classes_and_answers_come_back_from_predictions(tmp_path_factory, ids, of, suffix):
    path = tmp_path_factory.mktemp("p") / f"p{suffix}"
    write_predictions(path, predicted(ids, of))
    back = read_predictions(path)
    assert (back.ids.tolist(), list(back.classes), list(back.pred)) == (ids, of, [of[0]] * len(ids))
    if suffix != ".npy":  # other commands read the same file as a table
        table = read_table(path)
        assert (list(table.columns), table["id"].tolist()) == (["id", *of, "pred"], ids)


@settings(max_examples=60)
@given(
    unique.filter(lambda found: "id" not in found), st.data(), st.sampled_from([".csv", ".parquet"])
)
def test_columns_and_cells_come_back_from_tables(tmp_path_factory, columns, data, suffix):
    rows = data.draw(
        st.lists(
            st.lists(texts, min_size=len(columns), max_size=len(columns)), min_size=2, max_size=4
        )
    )
    cells = [[f"s{place}x", *row] for place, row in enumerate(rows)]
    path = tmp_path_factory.mktemp("t") / f"t{suffix}"
    write_table(path, pd.DataFrame(cells, columns=["id", *columns], dtype=object))
    back = read_table(path)
    assert (list(back.columns), back.to_numpy().tolist()) == (["id", *columns], cells)


@settings(max_examples=20)
@given(unique)
def test_classes_come_back_from_a_checkpoint(tmp_path_factory, classes):
    import torch

    from comptool.models.checkpoint_file import save_checkpoint

    path = tmp_path_factory.mktemp("c") / "best.safetensors"
    document = {
        "model": {"name": "x", "options": {}}, "task": "multiclass", "classes": classes,
        "class_counts": dict.fromkeys(classes, 1), "modalities": ["m"], "img_size": {"m": [8, 8]},
        "channels": {"m": 3}, "mean": {"m": [0.0] * 3}, "std": {"m": [1.0] * 3},
    }  # fmt: skip
    save_checkpoint(path, torch.nn.Linear(1, 1), header_of(document, path))
    header = read_header(path)
    assert (header.classes, list(header.class_counts)) == (classes, classes)


@READ
@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("where", ["id", "class", "id column"])
def test_a_text_that_a_file_would_lose_is_refused_before_it_is_written(
    tmp_path, suffix, lost, where
):
    ids, classes, column = ["a", "b"], ["k", "l"], "id"
    if where == "id":
        ids[1] = lost
    elif where == "class":
        classes[1] = lost
    else:
        column = lost
    path = tmp_path / f"p{suffix}"
    with pytest.raises(InputError) as refusal:
        write_predictions(path, predicted(ids, classes, column))
    place = "row 2, column 'id'" if where == "id" else f"column {lost!a}"
    assert str(refusal.value).startswith(f"{path}, {place}: {LOST[lost]}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["\ufeffid", "#id", " ", ""])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_first_column_that_would_be_lost_is_refused(tmp_path, name, suffix):
    with pytest.raises(InputError, match=r"would be lost|has no name"):
        write_table(tmp_path / f"t{suffix}", pd.DataFrame({name: ["x"], "y": ["z"]}))
    assert list(tmp_path.iterdir()) == []


FILES = {
    "a\\b.csv": r"holds a \\",
    "a:b.csv": "holds a :",
    "nul.csv": "is a device on Windows",
    "CON": "is a device on Windows",
    "com1.tar.gz": "is a device on Windows",
    "a.": "ends in a dot",
    "a.csv ": "ends in a dot or a blank",
    "-x.csv": "begins with -",
    "x" * 197 + ".csv": "is longer than 200 bytes",
    "\u6771" * 70: "is longer than 200 bytes",
    "x" * 300: "is longer than 200 bytes",
    "a\nb.csv": "holds a character that does not print",
    "a\u202eb.csv": "holds a character that does not print",
    "a\ud800.csv": "holds a character that does not print",
}


@pytest.mark.parametrize(("name", "why"), FILES.items(), ids=ascii)
def test_an_output_that_another_system_could_not_open_is_refused(tmp_path, name, why):
    for path in (tmp_path / name, tmp_path / name / "p.csv"):
        with pytest.raises(OutputError, match=f"its name {why}") as refusal:
            refuse_existing(path)
        assert str(refusal.value).isprintable()
    with pytest.raises(UsageError, match="--run-name is "):
        run_folder(name, "mobilenetv2", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["..", "a/b", "a/../b", ".", "/a", "../a"])
def test_a_run_is_one_folder(name):
    with pytest.raises(UsageError, match="--run-name is "):
        run_folder(name, "mobilenetv2", None)


def test_usual_and_foreign_names_are_fine_and_a_folder_that_is_there_is_the_users(tmp_path):
    for name in ("console.csv", "a b+c=d.csv", "\u6771\u4eac.csv", ".hidden", "x" * 196 + ".csv"):
        with atomic_output(tmp_path / name) as temporary:
            temporary.write_text("x")
    (tmp_path / "odd: folder").mkdir()
    refuse_existing(tmp_path / "odd: folder" / "p.csv")


def test_messages_show_control_characters_as_escapes_and_cut_long_values():
    error = InputError("no", file="a\x1b[31m.csv", column="b\nc", values=["\u202ex", "y" * 999])
    assert str(error).startswith(r"a\x1b[31m.csv, column 'b\nc': no (found '\u202ex', 'yyy")
    assert str(error).isprintable() and len(str(error)) < 300
    assert visible("caf\u00e9 \u6771") == "caf\u00e9 \u6771"
    assert quoted(["\ud800"]) == r"'\ud800'"


def test_a_message_does_not_colour_the_terminal(comptool):
    Path("p.csv").write_text("id,a,b\n\x1b[31mx,0.5,0.5\n\x1b[31mx,0.5,0.5\n")
    result = comptool("ensemble", "p.csv")
    assert result.exit_code == 3
    assert "\x1b" not in result.stderr and r"\x1b[31mx" in result.stderr


@pytest.mark.parametrize(
    "command",
    [("features", "x" * 400), ("infer", "x" * 400), ("simulate", "mavoc", "-o", "x" * 400)],
    ids=lambda command: command[0],
)
def test_a_name_that_no_file_can_have_is_one_sentence(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, list(command))
    assert result.exit_code == 2, result.output
    assert "no file can have so long a name: 'xxx" in result.stderr
    assert "\n" not in result.stderr.strip()
