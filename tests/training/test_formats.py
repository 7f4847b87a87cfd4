"""Images of other formats and channels from the download to predictions, through the commands."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from comptool.io.predictions import read_predictions
from comptool.io.runs import read_header

RUN = Path("weights/run")
TINY = ("--pretrained", "no", "--img-size", "32", "-j", "0", "-b", "8", "--epochs", "1", "-q")
TRAIN = [f"a{number}" for number in range(20)]
TEST = [f"t{number}" for number in range(5)]
TOML = """\
task = "multiclass"
metric = "accuracy"
[data]
folder = "data"
train = "{train}"
{test}
id = "id"
label = "y"
{more}
[modalities]
{modalities}
"""
RANDOM = np.random.default_rng(0)


def run(*arguments: object) -> str:
    app = import_module("comptool.commands.app").app
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    return result.stderr


def label(number: int) -> str:
    return "xy"[number % 2]


def pixels(number: int, channels: int) -> np.ndarray:
    """Noise from 0 to 1, (40, 36, C); the first channel says the class."""
    image = RANDOM.random((40, 36, channels), np.float32)
    image[:, : 4 + 20 * (number % 2), 0] = 1
    return image


def describe(modalities: str, train: str = "train.csv", test: str = "test.csv", more: str = ""):
    text = TOML.format(train=train, test=f'test = "{test}"', modalities=modalities, more=more)
    Path("comptool.toml").write_text(text)


def tables() -> None:
    for name, ids in (("train", TRAIN), ("test", TEST)):
        with Path(f"data/{name}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["id", "y"][: 2 if name == "train" else 1])
            for number, one in enumerate(ids):
                writer.writerow([one, label(number)][: 2 if name == "train" else 1])


def arrays() -> None:
    tables()
    for number, name in enumerate([*TRAIN, *TEST]):
        cadence = (pixels(number, 6).transpose(2, 0, 1) * 7 - 3).astype(np.float16)
        np.save(f"data/{name}.npy", cadence)
    describe('cadence = "{id}.npy"')


def bands() -> None:
    tifffile = pytest.importorskip("tifffile")
    tables()
    for number, name in enumerate([*TRAIN, *TEST]):
        scale = np.array([5000] * 12 + [100])
        image = (pixels(number, 13) * scale).astype(np.uint16)
        tifffile.imwrite(f"data/{name}.tif", image, photometric="minisblack", planarconfig="contig")
    describe('s2 = "{id}.tif"')


def colours() -> None:
    tables()
    for number, name in enumerate([*TRAIN, *TEST]):
        image = (pixels(number, 4) * 255).astype(np.uint8)
        for channel, colour in enumerate(("red", "green", "blue", "yellow")):
            cv2.imwrite(f"data/{name}_{colour}.png", image[..., channel])
    patterns = json.dumps([f"{{id}}_{one}.png" for one in ("red", "green", "blue", "yellow")])
    describe(f"cell = {patterns}")


def ships() -> None:
    for name, ids in (("train", TRAIN), ("test", TEST)):
        records = []
        for number, one in enumerate(ids):
            image = cv2.resize(pixels(number, 2), (30, 30)) * 20 - 40
            first, second = (image[..., channel].ravel().tolist() for channel in range(2))
            record = {"id": one, "band_1": first, "band_2": second}
            records.append(record | ({"y": label(number)} if name == "train" else {}))
        Path(f"data/{name}.json").write_text(json.dumps(records))
    describe('radar = ["band_1", "band_2"]', "train.json", "test.json")


def products() -> None:
    bson = pytest.importorskip("bson")
    for name, ids in (("train", TRAIN), ("test", TEST)):
        content = b""
        for number, one in enumerate(ids):
            pictures = []
            for _ in range(1 + number % 3):
                stream = io.BytesIO()
                Image.fromarray((pixels(number, 3) * 255).astype(np.uint8)).save(stream, "JPEG")
                pictures.append({"picture": stream.getvalue()})
            record = {"id": one, "imgs": pictures}
            content += bson.encode(record | ({"y": label(number)} if name == "train" else {}))
        Path(f"data/{name}.bson").write_bytes(content)
    describe('product = "imgs"', "train.bson", "test.bson")


def own() -> None:
    tables()
    Path("reader.py").write_text(
        "import numpy as np\n"
        "def read(content, path):\n"
        "    return np.frombuffer(content, np.uint8).reshape(5, 40, 36).transpose(1, 2, 0)\n"
        "read.suffixes = ('.raw',)\n"
    )
    for number, name in enumerate([*TRAIN, *TEST]):
        image = (pixels(number, 5) * 255).astype(np.uint8)
        Path(f"data/{name}.raw").write_bytes(image.transpose(2, 0, 1).tobytes())
    describe('raw = "{id}.raw"', more='reader = "reader.py:read"')


CASES: dict[str, tuple[Callable[[], None], dict[str, int], dict[str, int], str]] = {
    "arrays": (
        arrays,
        {"cadence": 6},
        {"cadence": 1},
        "cadence images have 6 channels of floating-point numbers: they are scaled so that ",
    ),
    "bands": (
        bands,
        {"s2": 13},
        {"s2": 13},
        "s2 images have 13 channels of 16 bits: they are scaled channel by channel: ",
    ),
    "colours": (colours, {"cell": 4}, {}, "cell 32x32x4 pixels"),
    "ships": (
        ships,
        {"radar": 2},
        {"radar": 1},
        "radar images have 2 channels of floating-point numbers",
    ),
    "products": (products, {"product": 3}, {}, "several images in 'imgs': the first of each"),
    "own": (own, {"raw": 5}, {}, "raw 32x32x5 pixels"),
}


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPTOOL_CACHE", str(tmp_path / "cache"))
    Path("data").mkdir()


@pytest.mark.parametrize("case", CASES)
def test_images_of_a_format_are_trained_on_and_predicted_alike_by_both_backends(work, case):
    write, channels, ranges, said = CASES[case]
    write()
    told = run("train", "--model", "test_efficientnet", *TINY[:-1], "--run-name", "run",
               "--augment", "strong", "--mixup", "0.2", "--cutmix", "0.2")  # fmt: skip
    header = read_header(RUN)
    assert header.channels == channels
    assert {name: len(pairs) for name, pairs in header.ranges.items()} == ranges
    assert said in told
    for backend in ("onnx", "torch"):
        run("infer", "--backend", backend, "-o", f"{backend}.csv", "-q", "-j", "0")
    one, other = (read_predictions(Path(f"{name}.csv")) for name in ("onnx", "torch"))
    assert list(one.ids) == list(other.ids) == TEST
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    assert np.ptp(one.probabilities[:, 0]) > 0
    run("tta", "--transforms", "d4", "-q", "-j", "0")
    assert "unreadable" not in run("inspect")


def test_three_modalities_have_three_streams(work):
    tables()
    for number, name in enumerate([*TRAIN, *TEST]):
        for sensor, side, channels in (("sar", 40, 1), ("eo", 48, 3), ("ir", 36, 2)):
            image = cv2.resize(pixels(number, channels), (side, side)).reshape(side, side, -1)
            np.save(f"data/{sensor}_{name}.npy", (image * 255).astype(np.uint8))
    sensors = ("sar", "eo", "ir")
    describe("\n".join(f'{sensor} = "{sensor}_{{id}}.npy"' for sensor in sensors))
    run("split", "-q")
    for model, more in (
        ("test_efficientnet-dual", ("--auxiliary-heads", "--calibrate-gradients", "inter")),
        ("test_efficientnet-dual+ml-decoder", ()),
    ):
        run("train", "--model", model, *TINY, "--run-name", "run", "--force", *more)
        header = read_header(RUN)
        assert header.modalities == list(sensors)
        assert header.channels == {"sar": 3, "eo": 3, "ir": 2}
        for backend in ("onnx", "torch"):
            run("infer", "--backend", backend, "-o", f"{backend}.csv", "-q", "--force")
        one, other = (read_predictions(Path(f"{name}.csv")) for name in ("onnx", "torch"))
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    run("train", "--model", "test_efficientnet-dual+ml-decoder", *TINY, "--init-from", "run",
        "--run-name", "second")  # fmt: skip
    assert read_header(Path("weights/second")).channels == {"sar": 3, "eo": 3, "ir": 2}


def test_a_run_is_predicted_by_its_own_reader_and_says_so_if_another_reads(work):
    own()
    text = Path("comptool.toml").read_text()
    Path("comptool.toml").write_text(text.replace('reader = "reader.py:read"', ""))
    Path("other.py").write_text(Path("reader.py").read_text())
    describe_by_option = ("--reader", "reader.py:read")
    run("train", "--model", "test_efficientnet", *TINY, "--run-name", "run", *describe_by_option)
    assert read_header(RUN).reader == "reader.py:read"
    # The images of the pattern are found by the suffixes of the run's reader.
    assert "warning" not in run("infer", "-j", "0")
    told = run("infer", "-j", "0", "--force", "--reader", "other.py:read")
    assert (
        "warning: weights/run was trained on images read by reader.py:read, and other.py:read "
        "reads now"
    ) in told


def test_extra_rows_of_another_folder_keep_the_files_of_their_channels(work):
    colours()
    Path("more").mkdir()
    names = [f"{{}}_{one}.png" for one in ("red", "green", "blue", "yellow")]
    for name in names:
        Path("data", name.format("t0")).rename(Path("more", name.format("x")))
    cell = "|".join(name.format("x") for name in names)
    Path("more/extra.csv").write_text(f"id,y,cell_path\nx,x,{cell}\n")
    told = run("train", "--model", "test_efficientnet", *TINY[:-1], "--run-name", "run",
               "--extra", "more/extra.csv")  # fmt: skip
    assert "adding 1 rows of more/extra.csv" in told


def test_published_weights_are_adapted_to_the_channels_as_by_timm(work):
    import timm
    import torch
    from safetensors.torch import save_file

    from comptool import models

    published = timm.create_model("test_efficientnet", num_classes=0)
    save_file(published.state_dict(), "net.safetensors")
    ours = models.create("test_efficientnet", 2, in_chans=6, pretrained=Path("net.safetensors"))
    kernel = published.conv_stem.weight
    wanted = timm.models.adapt_input_conv(6, kernel)
    torch.testing.assert_close(ours.encoders[0].conv_stem.weight, wanted)
