"""Predictions leave for the file, and batches for the device, before later ones are there."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from comptool.data.transfers import Transfers
from comptool.errors import InputError
from comptool.inference import torch_backend
from comptool.inference.config import Computing, InferConfig
from comptool.inference.infer import infer
from comptool.inference.plan import plan_prediction
from comptool.inference.predict import Prediction, predict
from comptool.inference.tta.policies import GROUPS, PLAIN, Scheme
from comptool.io.predictions import Predictions, write_parts, write_predictions

HERE = Computing(device="cpu", workers=0, quiet=True, batch_size=2)
OUTPUT = Path("out/preds.csv")


def planned(**options):
    return plan_prediction(InferConfig(runs=("one",), output=OUTPUT, **options))


@pytest.mark.parametrize("rows_written", [1, 3, 4, 100])
def test_the_file_is_the_same_however_many_rows_are_written_at_a_time(
    pairs, monkeypatch, rows_written
):
    pairs("one")
    plan = planned()
    (wanted,), _ = predict(plan.members, plan.samples, [PLAIN], HERE)
    monkeypatch.setattr(sys.modules[infer.__module__], "ROWS_WRITTEN", rows_written)
    infer(plan, HERE, {})
    given = pl.read_csv(OUTPUT, schema_overrides={name: pl.Float32 for name in "abc"})
    assert given["id"].to_list() == [f"te00{number}" for number in range(9)]
    np.testing.assert_array_equal(given.drop("id").to_numpy(), wanted)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_parts_make_the_file_that_the_whole_makes(tmp_path, suffix):
    table = np.random.default_rng(0).dirichlet(np.ones(3), 10).astype(np.float32)
    whole = Predictions(np.array([f"0{n}" for n in range(10)], object), ("a", "b", "c"), table)
    parts = [whole.take(np.arange(start, min(start + 4, 10))) for start in (0, 4, 8)]
    write_predictions(tmp_path / f"whole.{suffix}", whole)
    write_parts(tmp_path / f"parts.{suffix}", iter(parts))
    one, other = (tmp_path / f"{name}.{suffix}" for name in ("whole", "parts"))
    if suffix == "csv":
        assert one.read_bytes() == other.read_bytes()
    else:
        assert pl.read_parquet(one).equals(pl.read_parquet(other))


def test_a_file_that_is_damaged_late_leaves_nothing_of_what_was_written_before(pairs, monkeypatch):
    pairs("one")
    monkeypatch.setattr(sys.modules[infer.__module__], "ROWS_WRITTEN", 1)
    Path("data/SAR_te007.png").write_bytes(b"no image")
    plan, torch_here = planned(), replace(HERE, backend="torch")
    prediction = Prediction(plan.members, plan.samples, [PLAIN], torch_here)
    given = prediction.batches()
    assert [next(given)[0].shape for _ in range(3)] == [(2, 3)] * 3
    given.close()
    for computing in (torch_here, HERE):
        with pytest.raises(InputError, match=r"SAR_te007\.png: this image is damaged"):
            infer(plan, computing, {})
    assert not OUTPUT.parent.exists()


def test_ctrl_c_in_the_middle_of_the_file_leaves_the_file_that_was_there(pairs, monkeypatch):
    pairs("one")
    infer(planned(), HERE, {})
    before = OUTPUT.read_bytes()
    monkeypatch.setattr(sys.modules[infer.__module__], "ROWS_WRITTEN", 1)
    plan, written = planned(force=True), pl.DataFrame.write_csv

    def pressed(frame, stream, *, include_header, **given):
        written(frame, stream, include_header=include_header, **given)
        if not include_header:
            raise KeyboardInterrupt

    monkeypatch.setattr(pl.DataFrame, "write_csv", pressed)
    with pytest.raises(KeyboardInterrupt):
        infer(plan, HERE, {})
    assert OUTPUT.read_bytes() == before
    assert {path.name for path in OUTPUT.parent.iterdir()} == {"preds.csv", "preds.csv.meta.json"}


def test_batches_that_are_begun_ahead_come_back_in_their_order(pairs, monkeypatch):
    pairs("one")
    plan, torch_here = planned(), replace(HERE, backend="torch")
    scheme = Scheme(GROUPS["flips"], "mean")
    wanted = predict(plan.members, plan.samples, [scheme], torch_here)[0]
    begun = []

    class Ahead(Transfers):
        ahead = 2

        def there(self, images):
            begun.append(len(images[0]))
            return super().there(images)

    monkeypatch.setattr(torch_backend, "transfers", lambda device, asynchronous: Ahead())
    prediction = Prediction(plan.members, plan.samples, [scheme], torch_here)
    batches = prediction.batches()
    first = next(batches)
    assert begun == [2, 2, 2]
    rest = [tables[0] for tables in batches]
    assert begun == [2, 2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([first[0], *rest]), wanted[0])


def test_images_of_mixed_sizes_and_modes_give_the_same_with_both_backends(pairs):
    """Grey, RGBA, palette, 16 bits, CMYK and one pixel, in one set."""
    from PIL import Image

    pairs("eo", modalities=["eo"])
    random = np.random.default_rng(0)
    colour = Image.fromarray(random.integers(0, 256, (40, 24, 3), dtype=np.uint8))
    deep = random.integers(0, 2**16, (9, 31), dtype=np.uint16)
    colour.convert("L").save("data/EO_te000.png")
    colour.convert("RGBA").resize((7, 90)).save("data/EO_te001.png")
    colour.convert("P").save("data/EO_te002.png")
    cv2.imwrite("data/EO_te003.png", deep)
    colour.convert("CMYK").save("data/EO_te004.jpg")
    Path("data/EO_te004.jpg").rename("data/EO_te004.png")
    cv2.imwrite("data/EO_te005.png", np.stack([deep] * 3, axis=-1))
    colour.convert("1").save("data/EO_te006.png")
    colour.resize((1, 1)).save("data/EO_te007.png")
    plan = plan_prediction(InferConfig(runs=("eo",), output=OUTPUT))
    tables = [
        predict(plan.members, plan.samples, [PLAIN], replace(HERE, backend=backend))[0][0]
        for backend in ("onnx", "torch")
    ]
    np.testing.assert_allclose(*tables, atol=1e-4)
    np.testing.assert_allclose(tables[0].sum(axis=1), 1, atol=1e-6)
    grey, palette = tables[0][0], tables[0][2]
    assert np.abs(grey - palette).max() > 1e-4  # colour is not lost
