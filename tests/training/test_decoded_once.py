"""What training keeps of decoded images, and that it changes nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from comptool.data import image_io
from comptool.errors import InputError
from comptool.io.runs import BEST
from comptool.models.checkpoint_file import load_checkpoint


@pytest.fixture
def decodes(monkeypatch) -> list[Path]:
    """The files that are decoded outside of the cache."""
    read: list[Path] = []
    whole = image_io.read_pixels

    def counted(path: Path):
        read.append(path)
        return whole(path)

    monkeypatch.setattr(image_io, "read_pixels", counted)
    return read


def weights(run: str) -> dict[str, list[float]]:
    model, _ = load_checkpoint(Path("weights") / run / BEST)
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("mode", ["auto", "disk", "ram"])
def test_the_weights_are_those_of_images_decoded_each_epoch(fit, mode):
    fit("kept", cache=mode, augment="weak")
    fit("anew", cache="off", augment="weak")
    assert weights("kept") == weights("anew")


def test_after_the_look_at_bit_depths_no_image_is_decoded_by_an_epoch(fit, decodes):
    fit("one", epochs=2, cache="disk")
    few = len(decodes)
    decodes.clear()
    fit("two", epochs=4, cache="disk")
    assert len(decodes) == few
    decodes.clear()
    fit("off", epochs=2, cache="off", batch_size=3)  # no single row is left over
    assert len(decodes) == few + 2 * 48


def test_one_epoch_gains_nothing_and_keeps_nothing(fit, tmp_path, monkeypatch):
    monkeypatch.setenv("COMPTOOL_CACHE", str(tmp_path / "cache"))
    fit("one", epochs=1)
    assert not (tmp_path / "cache").exists()
    fit("two", epochs=2)
    assert (tmp_path / "cache").exists()


def test_a_damaged_image_is_told_before_a_run_is_replaced(fit, folder):
    fit("run", epochs=2)
    before = (folder / "weights/run" / BEST).read_bytes()
    (folder / "images/eo_05.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(InputError, match=r"eo_05\.png"):
        fit("run", epochs=2, force=True)
    assert (folder / "weights/run" / BEST).read_bytes() == before


def test_a_resumed_run_may_keep_its_images_elsewhere(fit):
    steady = {"schedule": "constant", "warmup_epochs": 0}
    fit("run", epochs=3, cache="ram", **steady)
    fit("run", epochs=5, cache="off", resume=True)
    fit("whole", epochs=5, cache="disk", **steady)
    assert weights("run") == weights("whole")
