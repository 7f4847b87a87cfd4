"""comptool inspect, from a download to findings.csv and the next command."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from comptool.competition import schema
from comptool.competition.findings import COLUMNS, LABEL_RUN, links, read_findings
from comptool.io import provenance


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in schema.VARIABLES:
        monkeypatch.delenv(name, raising=False)


def chip(seed: int, side: int = 40) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)


def make(images: dict[str, np.ndarray | bytes], table: str, name: str = "train") -> None:
    """A download in ``data``; the table's rows are completed by the path of the image."""
    Path("data", name).mkdir(parents=True, exist_ok=True)
    for identity, image in images.items():
        if isinstance(image, bytes):
            Path("data", name, f"{identity}.png").write_bytes(image)
        else:
            cv2.imwrite(f"data/{name}/{identity}.png", image)
    header, *rows = table.split()
    lines = [f"{header},path", *(f"{row},{name}/{row.split(',')[0]}.png" for row in rows)]
    Path(f"data/{name}.csv").write_text("\n".join(lines) + "\n")


def found() -> list[tuple[str, ...]]:
    table = read_findings(Path("findings.csv"))
    return list(table[list(COLUMNS)].itertuples(index=False, name=None))


def defects(comptool) -> None:
    """Twelve samples in five scenes; one is cut off, one empty of content, two pairs are copies."""
    images: dict[str, np.ndarray | bytes] = {f"s{n}": chip(n) for n in range(10, 22)}
    images["s12"] = cv2.imencode(".png", images["s12"])[1].tobytes()[:-30]
    images["s13"] = np.full((40, 40), 7, np.uint8)
    images["s15"] = images["s14"]
    images["s17"] = images["s16"]
    rows = [f"s{n},{'ab'[n > 15]},scene{n // 3}" for n in range(10, 22)]
    rows[5] = "s15,b,scene5"
    make(images, "id,label,scene\n" + "\n".join(rows))
    make({"t1": chip(18), "t2": chip(30, 41), "t3": chip(31)}, "id\nt1\nt2\nt3", "test")
    Path("data/test/t3.png").unlink()


def test_every_defect_is_a_row_of_the_findings(comptool):
    defects(comptool)
    result = comptool("inspect")
    assert (result.exit_code, result.stdout) == (0, "findings.csv\n"), result.stderr
    conflict = "label-conflict", "train"
    assert found() == [
        ("missing", "test", "t3", "path", "", "", "", "", ""),
        ("unreadable", "train", "s12", "path", "", "", "", "this image is truncated", ""),
        ("constant", "train", "s13", "path", "", "", "", "7", ""),
        ("odd-size", "test", "t2", "path", "", "", "", "41x41", ""),
        ("duplicate", "train", "s15", "path", "train", "s14", "path", "", "1.0"),
        ("duplicate", "train", "s17", "path", "train", "s16", "path", "", "1.0"),
        ("duplicate", "test", "t1", "path", "train", "s18", "path", "", "1.0"),
        (*conflict, "s14", "label", "train", "s15", "", "a / b", "1.0"),
        (*conflict, "s15", "label", "train", "s14", "", "b / a", "1.0"),
        ("group-leak", "train", "s15", "scene", "train", "s14", "scene", "scene5 / scene4", "1.0"),
    ]
    assert provenance.recall(Path("findings.csv")).command == "inspect"


def test_what_a_person_reads(comptool):
    defects(comptool)
    told = comptool("inspect").stderr.splitlines()
    start = told.index("inspecting data/train.csv, data/test.csv")
    assert told[start + 1 :] == [
        "12 training samples of 2 classes, from 5 (a) to 7 (b)",
        "     rows  share",
        "  b     7  58.3%",
        "  a     5  41.7%",
        "  path: 12 images; 40x40; grey, 8 bits",
        "3 test samples",
        "  path: 3 images; 40x40 (1), 41x41 (1); grey, 8 bits",
        "",
        "findings: 10",
        "  missing              1  images that are not there: 't3'",
        "  unreadable           1  images that cannot be read: 's12'",
        "  constant             1  images of one value: 's13'",
        "  odd-size             1  images of another size than nearly all: 't2'",
        "  duplicate            3  images with the same pixels as another: "
        "'train s15 = train s14', 'train s17 = train s16', 'test t1 = train s18'",
        "  label-conflict       2  copies with other labels: 's14 = s15', 's15 = s14'",
        "  group-leak           1  copies in different groups: 's15 = s14'",
        "",
        "next",
        "  comptool split --findings findings.csv --exclude unreadable --exclude label-conflict "
        "--exclude constant",
        "    copies stay in one fold (pairs: 2)",
        "    --exclude unreadable: training refuses them (1)",
        "    --exclude label-conflict: one of two copies has a wrong label (2)",
        "    --exclude constant: they show nothing (1)",
        "  test images to download again: 1",
        "  test samples with an image of a training sample: 't1'",
    ]


def test_the_next_command_mends_what_it_can(comptool):
    defects(comptool)
    said = json.loads(comptool("inspect", "--json", "-q").stdout)
    assert said["findings"]["duplicate"] == 3
    assert said["tables"]["train"]["classes"] == {"a": 5, "b": 7}
    assert said["tables"]["test"]["images"]["path"]["missing"] == 1
    command = said["next"][0].split()[1:]
    result = comptool(*command)
    assert result.exit_code == 0, result.stderr
    folds = pd.read_csv("folds.csv").set_index("id")
    assert set(folds.index) == {f"s{n}" for n in (10, 11, *range(16, 22))}
    assert folds.loc["s16", "fold"] == folds.loc["s17", "fold"]
    groups = folds.groupby("scene")["duplicate_group"].unique()
    assert [names.tolist() for names in groups] == [["s10"], ["s16"], ["s18"], ["s21"]]


def test_copies_across_folds_and_torn_groups_are_leaks(comptool, monkeypatch):
    monkeypatch.setenv("COMPTOOL_GROUP", "scene")
    images = {f"s{n}": chip(n // 2) for n in range(8)}
    make(
        images,
        "id,label,scene\n" + "\n".join(f"s{n},{'ab'[n // 2 % 2]},g{n // 4}" for n in range(8)),
    )
    folds = [f"s{n},{'ab'[n // 2 % 2]},g{n // 4},train/s{n}.png,{n % 2 - 1}" for n in range(8)]
    Path("mine.csv").write_text("id,label,scene,path,fold\n" + "\n".join(folds) + "\n")
    result = comptool("inspect", "--folds", "mine.csv")
    assert result.exit_code == 0, result.stderr
    leaks = [one for one in found() if one[0] in ("fold-leak", "torn-group")]
    assert leaks[0] == ("fold-leak", "train", "s1", "fold", "train", "s0", "fold", "0 / -1", "1.0")
    assert len(leaks) == 6
    assert leaks[-1][2:4] == ("s4", "scene") and leaks[-1][7] == "g1: folds -1, 0"

    assert comptool("split", "--findings", "findings.csv", "-q").exit_code == 0
    result = comptool("inspect", "--force")
    assert "folds: folds.csv" in result.stderr
    assert not [one for one in found() if one[0] in ("fold-leak", "torn-group")]
    assert "\nnext" not in result.stderr  # They are together already.


def test_a_folds_table_of_other_samples_is_left_alone_or_refused(comptool):
    make({f"s{n}": chip(n) for n in range(4)}, "id,label\ns0,a\ns1,b\ns2,a\ns3,b")
    Path("folds.csv").write_text("id,label,path,fold\nz,a,train/s0.png,0\n")
    result = comptool("inspect")
    assert result.exit_code == 0
    about = "folds.csv, column 'id': 1 of its samples are not in the training data (found 'z')"
    assert f"\nnot inspected: {about}\n" in result.stderr
    result = comptool("inspect", "--folds", "folds.csv", "--force")
    assert result.exit_code == 3
    assert result.stderr == f"comptool inspect: {about}\n"


def test_mixed_sizes_modes_and_depths_of_one_row_each(comptool):
    colour = cv2.merge([chip(1, 30), chip(2, 30), chip(3, 30)])
    same = cv2.merge([chip(4, 30)] * 3)
    deep = chip(5, 20).astype(np.uint16) * 15
    make({"a": colour, "b": same, "c": deep, "d": chip(6, 1)}, "id,label\na,x\nb,y\nc,x\nd,y")
    said = json.loads(comptool("inspect", "--json", "-q").stdout)
    images = said["tables"]["train"]["images"]["path"]
    assert images["sizes"] == {"30x30": 2, "20x20": 1, "1x1": 1}
    assert images["modes"] == {
        "colour, 8 bits": 1, "grey in three channels, 8 bits": 1,
        "grey, 16 bits": 1, "grey, 8 bits": 1,
    }  # fmt: skip
    assert images["brightest"] == int(deep.max())
    assert said["findings"] == {"constant": 1}  # One pixel is one value.


def test_how_alike_near_copies_are_can_be_asked(comptool):
    small = cv2.imencode(".jpg", chip(1, 64), [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()
    make({"a": chip(1, 64), "b": small, "c": chip(2, 64)}, "id,label\na,x\nb,y\nc,x")
    assert comptool("inspect").exit_code == 0
    kind, _, one, _, _, other, _, _, score = found()[0]
    assert (kind, one, other) == ("near-duplicate", "b", "a")
    assert [row[0] for row in found()] == [kind, "label-conflict", "label-conflict"]
    assert 0.98 <= float(score) < 1
    assert comptool("inspect", "--similarity", "1", "--force").exit_code == 0
    assert found() == []


def test_copies_contradict_one_another_in_annotated_cells_alone(comptool):
    images = {f"s{n}": chip(n) for n in range(10, 16)}
    images |= {"s11": images["s10"], "s13": images["s12"]}
    rows = ["s10,1,0,-1", "s11,1,-1,1", "s12,1,0,-1", "s13,1,1,1", "s14,0,1,1", "s15,0,0,1"]
    make(images, "id,u,v,w\n" + "\n".join(rows))
    assert comptool("inspect").exit_code == 0
    conflicts = [row for row in found() if row[0] == "label-conflict"]
    assert [(one[2], one[5], one[7]) for one in conflicts] == [
        ("s12", "s13", "u / u, v, w"),
        ("s13", "s12", "u, v, w / u"),
    ]


def test_one_row_is_looked_at(comptool):
    make({"a": chip(1)}, "id,label\na,x")
    result = comptool("inspect")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.endswith("\nno findings\n")
    assert found() == []


def test_a_label_table_without_images(comptool):
    random = np.random.default_rng(0)
    cells = (random.random((2000, 30)) < 0.1).astype(int)
    cells[40:60, 5:20] = 1
    names = [f"c{n:02}" for n in range(30)]
    frame = pd.DataFrame(cells, columns=names)
    frame.insert(0, "id", [f"r{n}" for n in range(2000)])
    frame.to_csv("labels.csv", index=False)
    result = comptool("inspect", "labels.csv")
    assert result.exit_code == 0, result.stderr
    runs = [one for one in found() if one[0] == LABEL_RUN]
    assert {one[2] for one in runs} >= {f"r{n}" for n in range(40, 60)}
    assert len(runs) <= 21  # One of twenty may be chance.
    command = "  comptool split labels.csv --findings findings.csv --mask label-run\n"
    assert command in result.stderr

    assert comptool(*command.split()[1:], "--seeds", "2", "-q").exit_code == 0
    masked = pd.read_csv("folds.csv").set_index("id")[names]
    for _, _, identity, first, _, _, last, *_ in runs:
        assert (masked.loc[identity, first:last] == -1).all()
    assert (masked == -1).sum().sum() == sum(int(one[7]) for one in runs)


@pytest.mark.parametrize("order", [[3, 1, 0, 2, 5, 4], [5, 4, 3, 2, 1, 0]])
def test_the_order_of_rows_changes_nothing(comptool, order):
    rows = [f"s{n},{'ab'[n % 2]}" for n in range(6)]
    make({f"s{n}": chip(n // 2) for n in range(6)}, "id,label\n" + "\n".join(rows))
    assert comptool("inspect").exit_code == 0
    before = found()
    make({}, "id,label\n" + "\n".join(rows[n] for n in order))
    assert comptool("inspect", "--force").exit_code == 0
    assert found() == before
    assert len(before) == 9


def test_what_cannot_be_looked_at_is_refused(comptool):
    rows = [f"s{n},{'ab'[n % 2]}" for n in range(19)]
    make({"s3": chip(1)}, "id,label\n" + "\n".join([*rows, "s3,a"]))
    result = comptool("inspect")
    assert result.exit_code == 3
    twice = "data/train.csv, row 20, column 'id': duplicate id (found 's3')"
    assert result.stderr == f"comptool inspect: {twice}\n"
    make({}, "id,label\nb,x\nc,y")
    Path("comptool.toml").write_text(
        'task = "multiclass"\nmetric = "accuracy"\n[data]\nfolder = "data"\ntrain = "train.csv"\n'
        'id = "id"\nlabel = "label"\n[modalities]\nimage = "path"\n'
    )
    result = comptool("inspect")
    assert result.exit_code == 3
    assert "data/train.csv, column 'path': none of its images exists (found" in result.stderr
    assert not Path("findings.csv").exists()
    assert comptool("inspect", "--similarity", "0.5").exit_code == 2


def test_the_defects_of_real_pairs(comptool, real_data):
    comptool("init", real_data / "unicorn", "-q")
    said = json.loads(comptool("inspect", "--json", "-q").stdout)
    assert said["findings"]["duplicate"] == 6
    assert said["findings"]["constant"] == 2
    table = read_findings(Path("findings.csv"))
    assert set(table["id"][table["kind"] == "constant"]) == {"109488", "199199"}
    pairs = table[table["kind"] == "duplicate"]
    assert (pairs["column"] == "sar_path").all()
    assert ("199199", "109488") in set(zip(pairs["id"], pairs["other_id"], strict=True))
    assert links(table).empty  # All are test samples.


def test_real_pictures_of_land_are_no_copies_of_one_another(comptool, real_data):
    comptool("init", real_data / "ucmerced", "-q")
    said = json.loads(comptool("inspect", "--json", "-q").stdout)
    assert set(said["findings"]) == {"odd-size"}
