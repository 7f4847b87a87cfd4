"""``inspect --shift``: whether the test set looks like the training set, and what follows."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from benchmarks.evidence.shift import once
from comptool.commands.app import app
from comptool.competition.likeness import effective_rows, importance

ROWS = 60


def invoke(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def told(*arguments):
    result = invoke(*arguments, "--json", "-q")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def pictures(picture):
    def draw(first: int, darker: float = 1.0, size: int = 32):
        return {
            f"i{number}": (picture(number, size, size) * darker).astype(np.uint8)
            for number in range(first, first + ROWS)
        }

    return draw


@pytest.fixture
def here(download, monkeypatch):
    def write(train, test):
        folder = download(train, test)
        monkeypatch.chdir(folder.parent)
        assert invoke("init", "data", "-q").exit_code == 0
        return folder

    return write


def test_a_test_set_of_the_same_kind_looks_like_the_training_set(here, pictures):
    here(pictures(0), pictures(ROWS))
    found = told("inspect", "--shift")["shift"]
    assert not found["found"]
    assert found["auc"]["low"] <= 0.5
    assert found["giveaways"] == []
    shown = invoke("inspect", "--shift", "--force")
    assert "shift: the test set looks like the training set, AUC" in shown.stderr
    assert "--like-test" not in shown.stderr


def test_darker_test_images_are_told_by_their_brightness(here, pictures):
    folder = here(pictures(0), pictures(ROWS, 0.8))
    found = told("inspect", "--shift")["shift"]
    assert found["found"]
    assert found["auc"]["value"] > 0.75
    first = next(one for one in found["giveaways"] if one["feature"] == "path brightness")
    means = {}
    for name in ("train", "test"):
        table = pd.read_csv(folder / f"{name}.csv")
        images = [cv2.imread(str(folder / path)) for path in table["path"]]
        means[name] = [image.mean() for image in images]
        assert first[name] == pytest.approx(np.median(means[name]), rel=1e-5)
    labels = [0] * ROWS + [1] * ROWS
    assert first["auc"] == pytest.approx(roc_auc_score(labels, means["train"] + means["test"]))
    assert first["auc"] < 0.3


def test_the_area_is_that_of_the_written_probabilities(here, pictures):
    here(pictures(0), pictures(ROWS, 0.9))
    found = told("inspect", "--shift")["shift"]
    table = pd.read_csv("shift.csv")
    assert list(table) == ["table", "id", "like_test", "weight"]
    area = roc_auc_score(table["table"] == "test", table["like_test"])
    assert found["auc"]["value"] == pytest.approx(area, abs=1e-3)
    train = table[table["table"] == "train"]
    assert train["weight"].mean() == pytest.approx(1, abs=1e-4)
    assert table[table["table"] == "test"]["weight"].isna().all()
    order = train.sort_values("like_test", kind="stable")["weight"].to_numpy()
    assert (np.diff(order) >= -1e-4).all()


def test_sizes_and_columns_give_a_test_set_away(here, pictures):
    folder = here(pictures(0), pictures(ROWS, size=40))
    for name, sites in (("train", "AB"), ("test", "AC")):
        table = pd.read_csv(folder / f"{name}.csv")
        numbers = np.arange(len(table)) % 7
        site = [sites[number % 2] for number in range(len(table))]
        table.assign(site=site, age=numbers).to_csv(folder / f"{name}.csv", index=False)
    found = told("inspect", "--shift")["shift"]
    by_name = {one["feature"]: one for one in found["giveaways"]}
    assert {"path width", "path height", "site=B", "site=C"} <= by_name.keys()
    assert not any("age" in name or name == "site=A" for name in by_name)
    assert (by_name["site=C"]["train"], by_name["site=C"]["test"]) == (0, 0.5)
    assert (by_name["path width"]["train"], by_name["path width"]["auc"]) == (32, 1)
    shown = invoke("inspect", "--shift", "--force").stderr
    assert "path width: median 32 in training, 40 in test (AUC alone 1.000)" in shown
    assert "site=B: share 50.0% in training, 0.0% in test (AUC alone 0.250)" in shown
    assert "  comptool split --like-test shift.csv" in shown


def test_groups_are_kept_whole(here, pictures):
    """Rows of a group are alike; a group that is seen and judged would look like a shift."""
    folder = here(pictures(0), pictures(ROWS))
    random = np.random.default_rng(0)
    for name in ("train", "test"):
        table = pd.read_csv(folder / f"{name}.csv")
        group = np.arange(len(table)) // 6
        key = random.random(10)[group].round(3)
        table.assign(patient=[f"{name}{one}" for one in group], dose=key).to_csv(
            folder / f"{name}.csv", index=False
        )
    loose = told("inspect", "--shift")["shift"]
    toml = (folder.parent / "comptool.toml").read_text()
    if 'group = "patient"' not in toml:
        (folder.parent / "comptool.toml").write_text(
            toml.replace("[data]\n", '[data]\ngroup = "patient"\n')
        )
    whole = told("inspect", "--shift", "--force")["shift"]
    assert whole["groups"] == "patient"
    assert loose["groups"] is None
    assert loose["auc"]["value"] > whole["auc"]["value"] + 0.1
    assert not whole["found"]


def test_rows_in_any_order_have_the_same_probability(here, pictures):
    """Ids in text order are not in the order of their numbers, nor in that of the table."""
    folder = here(pictures(0), pictures(ROWS, 0.9))
    told("inspect", "--shift", "-o", "a/findings.csv")
    names = ("train", "test")
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in names}
    for name, table in tables.items():
        table.sample(frac=1, random_state=3).to_csv(folder / f"{name}.csv", index=False)
    told("inspect", "--shift", "-o", "b/findings.csv")
    one, two = (pd.read_csv(f"{name}/shift.csv").set_index("id")["like_test"] for name in "ab")
    # Other rows are judged together; that of a row alone does not change.
    assert np.corrcoef(one, two.loc[one.index])[0, 1] > 0.7


def test_low_frequencies_belong_to_their_rows(here):
    """The picture alone tells train from test: a bright left half, or a bright right one."""
    random = np.random.default_rng(0)

    def half(side: int):
        image = random.integers(60, 120, (32, 32, 3), dtype=np.uint8)
        image[:, :16] += np.uint8(80 * side)
        image[:, 16:] += np.uint8(80 * (1 - side))
        return image

    # Half of the training images are like the test images, in an order of no number.
    sides = {f"i{number}": number % 3 == 0 for number in range(ROWS)}
    train = {name: half(int(side)) for name, side in sides.items()}
    here(train, {f"t{number}": half(1) for number in range(ROWS)})
    told("inspect", "--shift")
    found = pd.read_csv("shift.csv").set_index("id")["weight"].loc[list(sides)]
    like = np.array(list(sides.values()))
    assert found[like].min() > found[~like].max()


def test_groups_of_the_training_table_alone(here, pictures):
    folder = here(pictures(0), pictures(ROWS))
    table = pd.read_csv(folder / "train.csv")
    table["patient"] = [f"p{number // 6}" for number in range(len(table))]
    table.to_csv(folder / "train.csv", index=False)
    toml = (folder.parent / "comptool.toml").read_text()
    (folder.parent / "comptool.toml").write_text(
        toml.replace("[data]\n", '[data]\ngroup = "patient"\n')
    )
    found = told("inspect", "--shift")["shift"]
    assert found["groups"] == "patient"
    assert found["warnings"] == [
        "data/test.csv has no column 'patient': test rows of one group recognise each other, which "
        "raises the AUC"
    ]


@pytest.mark.parametrize("sites", [1, 2, 3])
def test_few_groups_in_the_test_table(sites, here, pictures):
    folder = here(pictures(0), pictures(ROWS, 0.5))
    for name, count in (("train", 3), ("test", sites)):
        table = pd.read_csv(folder / f"{name}.csv")
        table["site"] = [f"{name}{number % count}" for number in range(len(table))]
        table.to_csv(folder / f"{name}.csv", index=False)
    toml = (folder.parent / "comptool.toml").read_text()
    (folder.parent / "comptool.toml").write_text(
        toml.replace("[data]\n", '[data]\ngroup = "site"\n')
    )
    found = told("inspect", "--shift")["shift"]
    assert found["found"]
    assert found["auc"]["value"] > 0.9
    assert found["groups"] == ("site" if sites > 1 else None)
    assert len(found["warnings"]) == (sites == 1)


def test_modes_of_one_table_and_numbers_that_are_not_finite(here, pictures):
    grey = {name: image.mean(axis=2).astype(np.uint8) for name, image in pictures(ROWS).items()}
    folder = here(pictures(0), grey)
    for name in ("train", "test"):
        table = pd.read_csv(folder / f"{name}.csv")
        table.assign(dose=["inf", *"12" * 20][: len(table)] + ["1"] * 19).to_csv(
            folder / f"{name}.csv", index=False
        )
    found = told("inspect", "--shift")["shift"]
    by_name = {one["feature"]: one for one in found["giveaways"]}
    assert by_name["path mode=grey, 8 bits"]["test"] == 1
    assert by_name["path mode=colour, 8 bits"]["train"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "shift.csv"), "--output is 'shift.csv', where --shift writes"),
        (("data/train.csv",), "--shift compares training and test set, and there is no test table"),
    ],
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_cannot_be_compared_is_told_first(dry, arguments, message, here, pictures):
    here(pictures(0), pictures(ROWS))
    result = invoke("inspect", *arguments, "--shift", *dry)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(Path().glob("*.csv"))


def test_the_same_seed_gives_the_same_table(here, pictures):
    here(pictures(0), pictures(ROWS, 0.9))
    told("inspect", "--shift", "-o", "a/findings.csv")
    told("inspect", "--shift", "-o", "b/findings.csv")
    told("inspect", "--shift", "-o", "c/findings.csv", "--seed", "1")
    one, two, three = (pd.read_csv(f"{name}/shift.csv") for name in "abc")
    assert one.equals(two)
    assert not one.equals(three)


def test_a_hold_out_like_the_test_set(here, pictures):
    """Half of the training images are as dark as the test images; those are held out more often."""
    bright = pictures(0)
    mixed = {
        name: image if number % 4 < 2 else (image * 0.5).astype(np.uint8)
        for number, (name, image) in enumerate(bright.items())
    }
    here(mixed, pictures(ROWS, 0.5))
    told("inspect", "--shift")
    said = invoke("split", "--like-test", "shift.csv", "--val", "0.3")
    assert said.exit_code == 0, said.output
    folds = pd.read_csv("folds.csv")
    weights = pd.read_csv("shift.csv").set_index("id")["weight"].loc[folds["id"]].to_numpy()
    inside, outside = (weights[folds["fold"] == part].mean() for part in (0, -1))
    assert inside > outside + 0.3
    line = f"mean weight by shift.csv: {inside:.2f} in validation, {outside:.2f} in training"
    assert line in said.stderr
    shares = folds.groupby("label")["fold"].agg(lambda fold: (fold == 0).sum())
    assert (shares == np.floor(0.3 * folds["label"].value_counts()[shares.index])).all()


def test_groups_of_a_hold_out_like_the_test_set_stay_whole(here, pictures):
    folder = here(pictures(0), pictures(ROWS, 0.9))
    table = pd.read_csv(folder / "train.csv")
    table["patient"] = [f"p{number // 3}" for number in range(len(table))]
    table.to_csv(folder / "train.csv", index=False)
    toml = (folder.parent / "comptool.toml").read_text()
    (folder.parent / "comptool.toml").write_text(
        toml.replace("[data]\n", '[data]\ngroup = "patient"\n')
    )
    told("inspect", "--shift")
    told("split", "--like-test", "shift.csv", "--val", "0.3")
    folds = pd.read_csv("folds.csv")
    assert (folds.groupby("patient")["fold"].nunique() == 1).all()
    assert (folds["fold"] == 0).mean() == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("split", "--like-test", "shift.csv", "--folds", "3"),
            2,
            "--like-test chooses a hold-out",
        ),
        (("split", "--like-test", "gone.csv"), 3, "gone.csv: "),
        (("split", "--like-test", "data/train.csv"), 3, "data/train.csv: "),
        (
            ("split", "--like-test", "lacks.csv"),
            3,
            "lacks.csv: 1 rows of data/train.csv are not in",
        ),
        (
            ("split", "--like-test", "text.csv"),
            3,
            "text.csv, column 'weight': a weight is a number",
        ),
        (("split", "--like-test", "zero.csv"), 3, "zero.csv, column 'weight': all weights are 0"),
    ],
)
def test_what_is_no_table_of_a_shift_is_refused(arguments, code, message, here, pictures):
    here(pictures(0), pictures(ROWS))
    told("inspect", "--shift")
    table = pd.read_csv("shift.csv", dtype=str, keep_default_na=False)
    table.drop(index=3).to_csv("lacks.csv", index=False)
    table.assign(weight="x").to_csv("text.csv", index=False)
    table.assign(weight="0").to_csv("zero.csv", index=False)
    result = invoke(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert not Path("folds.csv").exists()


@pytest.fixture
def evaluated(here, pictures, tmp_path):
    """A finished run of which half of the validated rows are like the test set."""
    mixed = {
        name: image if number % 4 < 2 else (image * 0.5).astype(np.uint8)
        for number, (name, image) in enumerate(pictures(0).items())
    }
    here(mixed, pictures(ROWS, 0.5))
    told("inspect", "--shift")
    told("split", "--folds", "2")
    given = ("--model", "test_resnet", "--pretrained", "no", "--img-size", "32", "--epochs", "1")
    told("train", *given, "-j", "0", "-b", "8", "--fold", "all", "--run-name", "run")


def test_held_out_rows_are_weighted_to_look_like_the_test_set(evaluated):
    plain, like = told("evaluate", "run"), told("evaluate", "run", "--like-test", "shift.csv")
    oof = pd.concat(pd.read_csv(f"weights/run/fold-{fold}/oof.csv") for fold in (0, 1))
    labels = pd.read_csv("data/train.csv").set_index("id")["label"].loc[oof["id"]].to_numpy()
    weights = pd.read_csv("shift.csv").set_index("id")["weight"].loc[oof["id"]].to_numpy()
    right = oof[["x", "y"]].idxmax(axis=1).to_numpy() == labels
    assert plain["figures"]["accuracy"]["value"] == pytest.approx(right.mean())
    accuracy = like["figures"]["accuracy"]
    assert accuracy["value"] == pytest.approx(np.average(right, weights=weights))
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert like["effective_rows"] == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    of_x = labels == "x"
    expected = np.average(right[of_x], weights=weights[of_x])
    assert like["per_class"]["x"]["value"] == pytest.approx(expected)
    said = invoke("evaluate", "run", "--like-test", "shift.csv").stdout
    assert f"weighted by shift.csv: they count as {like['effective_rows']:.0f} rows" in said


def test_answers_are_not_weighted(evaluated):
    told("infer", "run", "-j", "0")
    Path("a.csv").write_text("id,label\ni60,x\n")
    given = ("submissions/preds.csv", "--answers", "a.csv", "--like-test", "shift.csv")
    for dry in ((), ("--dry-run",)):
        refused = invoke("evaluate", *given, *dry)
        assert refused.exit_code == 2
        assert "--like-test weights held-out rows to look like the test set" in refused.stderr


def test_rows_that_are_weighted_twice_are_told(here, pictures):
    here(pictures(0), pictures(ROWS, 0.8))
    told("inspect", "--shift")
    told("split", "--like-test", "shift.csv")
    given = ("--model", "test_resnet", "--pretrained", "no", "--img-size", "32", "--epochs", "1")
    told("train", *given, "-j", "0", "-b", "8", "--run-name", "run")
    drawn = ("--like-test", "shift.csv", "--pictures", "pictures")
    assert told("evaluate", "run", *drawn)["warnings"] == [
        "folds.csv holds out rows that look like the test set already (split --like-test): they "
        "are weighted twice"
    ]
    record = json.loads(Path("pictures/reliability.png.meta.json").read_text())
    assert "shift.csv" in record["inputs"]


def test_a_seed_belongs_to_a_shift(here, pictures):
    here(pictures(0), pictures(ROWS))
    result = invoke("inspect", "--seed", "3")
    assert result.exit_code == 2
    assert "--seed belongs to --shift" in result.stderr


def test_weights_turn_training_shares_into_test_shares():
    """The odds of an exact classifier are the ratio of the densities."""
    random = np.random.default_rng(0)
    train, test = random.random(20_000) < 0.2, random.random(5_000) < 0.6
    # p(test | x) of the two kinds of rows by Bayes' rule.
    of_kind = {kind: (test == kind).sum() for kind in (True, False)}
    probability = np.array(
        [of_kind[kind] / (of_kind[kind] + (train == kind).sum()) for kind in train]
    )
    weights = importance(probability, len(test))
    assert np.average(train, weights=weights) == pytest.approx(test.mean(), abs=1e-6)
    assert effective_rows(np.ones(7)) == 7
    assert effective_rows(np.array([1.0, 0, 0])) == 1


def test_a_weighted_score_comes_nearer_to_that_of_a_shifted_test_set():
    """Three of the repetitions of the study, with one standard deviation and with none."""
    for seed in range(3):
        found, _, plain, weighted, share = once(np.random.default_rng(seed), 500, 1.0, "hard")
        assert found
        assert abs(weighted) < abs(plain) / 2
        assert 0.2 < share < 0.8
        _, _, plain, weighted, share = once(np.random.default_rng(seed), 500, 0.0, "hard")
        assert weighted == pytest.approx(plain, abs=2)
        assert share > 0.9
