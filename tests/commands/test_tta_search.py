"""``comptool tta --search``: views chosen on the rows that a run held out, and on no others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from comptool.inference import predict as predicting
from comptool.io import provenance
from comptool.io.predictions import read_predictions
from comptool.io.tables import read_table

TTA, VIEWS, ROWS = (
    Path(f"submissions/{name}") for name in ("preds_tta.csv", "preds_tta.json", "oof_preds_tta.csv")
)
IDS = [f"tr{number:03d}" for number in range(12)]


@pytest.fixture
def folded(comptool, pairs):
    """A run in two folds whose out-of-fold rows are its own; gives the command ``tta``."""
    table = read_table(Path("data/train.csv"))
    table["fold"] = [str(row % 2) for row in range(12)]
    for sensor in ("sar_path", "eo_path"):
        table[sensor] = "data/" + table[sensor]
    table.to_csv("folds.csv", index=False)
    parts = []
    for fold in (0, 1):
        run = f"weights/run/fold-{fold}"
        pairs(f"run/fold-{fold}", seed=fold, inputs={"folds.csv": None}, fold=fold)
        comptool(
            "infer", run, "--test", "data/train.csv", "-o", "p.csv", "-q", "-j", "0", "--force"
        )
        rows = read_table(Path("p.csv"))
        rows.insert(1, "fold", table["fold"].to_numpy())
        parts.append(rows[rows["fold"] == str(fold)])
        parts[-1].to_csv(f"{run}/oof.csv", index=False)
    type(parts[0])(np.concatenate(parts), columns=parts[0].columns).to_csv(
        "weights/run/oof.csv", index=False
    )
    return lambda *arguments: comptool("tta", "-j", "0", "--device", "cpu", "run", *arguments)


def probabilities(path):
    return read_predictions(Path(path)).probabilities


def test_chosen_views_are_scored_by_hand_saved_and_applied(folded):
    result = folded("--transforms", "flips", "--search", "greedy", "--json")
    assert result.exit_code == 0, result.output
    told, saved = json.loads(result.stdout), json.loads(VIEWS.read_text())
    assert saved["scores"] == told["evidence"]
    assert saved["views"] == told["views"]
    assert saved["runs"] == ["weights/run"]
    assert provenance.recall(VIEWS).command == "tta"
    assert "plain image " in result.stderr
    assert "optimistic: chosen on these rows" in result.stderr
    singles = {}
    for one in told["evidence"]["candidates"]:
        Path("one.json").write_text(json.dumps([one["view"]]))
        again = folded("--transforms", "one.json", "-o", "one.csv", "--json", "--force")
        assert json.loads(again.stdout)["evidence"]["tta"] == pytest.approx(one["alone"])
        singles[one["view"]] = probabilities("one.csv")
    assert list(singles) == ["identity", "horizontal", "vertical"]
    mixed = sum(w * singles[v] for v, w in zip(told["views"], told["weights"], strict=True))
    np.testing.assert_allclose(probabilities(TTA), mixed, atol=1e-6)


def test_saved_views_are_applied_again_and_their_own_rows_are_called_too_good(folded):
    Path("chosen.json").write_text(
        '{"views": ["identity", "vertical", "horizontal"], "weights": [3, 1, 0],'
        ' "runs": ["weights/run"]}'
    )
    result = folded("--transforms", "chosen.json", "--json")
    told = json.loads(result.stdout)
    assert (told["views"], told["weights"]) == (["identity", "vertical"], [0.75, 0.25])
    assert "too good, because these rows chose the views" in result.stderr
    assert told["evidence"]["in_sample"]
    assert not ROWS.exists()
    parts = []
    for view in told["views"]:
        Path("one.json").write_text(json.dumps([view]))
        assert folded("--transforms", "one.json", "-o", "one.csv", "--force").exit_code == 0
        parts.append(probabilities("one.csv"))
    mixed = 0.75 * parts[0] + 0.25 * parts[1]
    np.testing.assert_allclose(probabilities(TTA), mixed, atol=1e-6)


def test_every_view_is_computed_once_and_test_images_see_those_chosen_alone(folded, monkeypatch):
    seen = []

    def spy(members, *arguments):
        networks = opened(members, *arguments)
        own = networks.each

        def each(batches, views):
            def noted():
                for images in batches:
                    seen.extend((len(images[0]), view) for view in views for _ in members)
                    yield images

            return own(noted(), views)

        networks.each = each
        return networks

    opened = predicting.open_networks
    monkeypatch.setattr(predicting, "open_networks", spy)
    told = json.loads(folded("--transforms", "d4", "--search", "greedy", "--json").stdout)
    # Two networks: each sees the six rows that it held out, and both the nine test rows.
    for rows, views in ((6, 8), (9, len(told["views"]))):
        assert len([one for one in seen if one[0] == rows]) == 2 * views


def test_rows_under_the_views_are_kept_for_what_follows(folded, comptool):
    assert folded("--transforms", "flips").exit_code == 0
    rows = read_predictions(ROWS)
    assert rows.ids.tolist() == IDS
    assert rows.fold.tolist() == [0, 1] * 6
    plain = read_predictions(Path("weights/run/oof.csv"))
    order = np.argsort(plain.ids.astype(str))
    assert np.abs(rows.probabilities - plain.probabilities[order]).max() > 1e-3
    facts = provenance.recall(TTA).facts
    assert facts["out_of_fold"] == str(ROWS)
    assert comptool("infer", "run", "-q", "-j", "0").exit_code == 0
    result = comptool("ensemble", "--search", "greedy", "--json")
    assert result.exit_code == 0, result.output
    members = json.loads(Path("submissions/ensemble.json").read_text())["members"]
    assert [one["out_of_fold"] for one in members] == ["weights/run/oof.csv", str(ROWS)]
    ROWS.unlink()
    result = comptool("ensemble", "--search", "greedy", "--force")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1] == (
        f"comptool ensemble: {ROWS}: the out-of-fold rows recorded with these predictions no "
        "longer exist. Make the predictions again, or name a run: --oof RUN"
    )


REFUSED = {
    "gmean": (("--merge", "gmean"), 2, "--search finds weights of the mean: take --merge mean"),
    "weights": (("--transforms", "w.json"), 2, "--search finds weights of the mean"),
    "one view": (("--transforms", "i.json"), 2, "only one view, so nothing to choose"),
    "nothing held out": ((), 3, "this run held no rows out"),
    "constant": ((), 3, "oof.csv: all 12 rows have the same probabilities"),
    "there already": ((), 3, "preds_tta.json: exists already. Replace it with --force"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_searched_is_refused_and_nothing_is_written(folded, why):
    options, code, message = REFUSED[why]
    Path("w.json").write_text('{"views": ["identity", "vertical"], "weights": [1, 2]}')
    Path("i.json").write_text('["identity"]')
    oof = Path("weights/run/oof.csv")
    if why == "nothing held out":
        oof.unlink()
    if why == "constant":
        rows = [f"{one},{number % 2},1,0,0" for number, one in enumerate(IDS)]
        oof.write_text("\n".join(["id,fold,a,b,c", *rows]) + "\n")
    if why == "there already":
        VIEWS.parent.mkdir()
        VIEWS.write_text("{}")
    result = folded("--search", "greedy", *options)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert not TTA.exists()
    assert not ROWS.exists()


def test_a_dry_run_names_all_files_and_writes_none(folded):
    before = sorted(Path().rglob("*"))
    result = folded("--search", "greedy", "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-2:] == [
        f"output: {TTA}",
        f"would also write {ROWS}, {VIEWS}",
    ]
    assert sorted(Path().rglob("*")) == before
