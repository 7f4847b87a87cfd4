"""Images that are damaged or not there, and paths that lead out of the data folder."""

from __future__ import annotations

from pathlib import Path

import pytest

NO_FOLDS = {"folds.csv": None, "folds.csv.meta.json": None}
DAMAGES = {
    "empty": (lambda content: b"", "this image is empty (0 bytes). Download it again"),
    "truncated": (
        lambda content: content[: len(content) // 2],
        "this image is truncated. Download it again",
    ),
    "unreadable": (
        lambda content: b"<html>404 Not Found</html>",
        "this image is damaged, or no image. Download it again",
    ),
    "garbled": (
        lambda content: content[:40] + bytes(len(content) - 52) + content[-12:],
        "this image is damaged, or no image. Download it again",
    ),
}


@pytest.mark.parametrize("command", ["infer", "tta"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_image_to_be_predicted(refused, damage, kind, command):
    spoil, message = DAMAGES[kind]
    name = "data/eo_t4.png"
    damage({name: spoil(Path(name).read_bytes())})
    refused(command, 3, f"{name}: {message}")


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_image_to_be_trained_on_is_named_and_training_goes_on_when_it_is_mended(
    chain, damage, run, kind
):
    """Images are decoded as they are needed; what stands then is whole, and waits for the mend."""
    spoil, message = DAMAGES[kind]
    name = "data/eo_s08.png"  # none of those that are looked at first
    whole = Path(name).read_bytes()
    damage({name: spoil(whole)})
    result = run("train", "-q")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == f"comptool train: {name}: {message}\n"
    assert sorted(path.name for path in Path("weights/new").iterdir()) == ["last.pt", "run.json"]
    damage({name: whole})
    result = run("train", "-q", "--resume")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "weights/new\n", "")


@pytest.mark.parametrize("kind", DAMAGES)
def test_inspect_says_of_a_damaged_image_what_the_others_say(chain, damage, invoked, kind):
    spoil, message = DAMAGES[kind]
    damage({"data/eo_s08.png": spoil(Path("data/eo_s08.png").read_bytes())})
    assert invoked("inspect").exit_code == 0
    found = [line for line in Path("findings.csv").read_text().splitlines() if "unreadable" in line]
    assert len(found) == 1
    assert message.partition(". ")[0] in found[0]


@pytest.mark.parametrize("command", ["train", "infer", "tta"])
def test_images_of_more_pixels_than_asked_for(refused, commands, monkeypatch, command):
    large = "data/sar_{}.png: this image has 20x20 pixels; 256 are allowed. If it is sound, allow "
    large += "it with --max-pixels 400 or COMPTOOL_MAX_PIXELS"
    cache = ("--cache", "off") if command == "train" else ()
    refused((*commands[command], *cache, "--max-pixels", "256"), 3, large)
    monkeypatch.setenv("COMPTOOL_MAX_PIXELS", "256")
    refused((*commands[command], *cache), 3, large)
    monkeypatch.setenv("COMPTOOL_MAX_PIXELS", "many")
    refused(
        (*commands[command], *cache),
        2,
        "the variable COMPTOOL_MAX_PIXELS has to be a number above 0, not 'many'",
    )


def test_a_damaged_image_among_those_that_are_looked_at_first_stops_training_before_it(
    refused, damage
):
    spoil, message = DAMAGES["truncated"]
    name = "data/eo_s07.png"
    damage({name: spoil(Path(name).read_bytes())})
    refused("train", 3, f"{name}: {message}")


@pytest.mark.parametrize(
    ("command", "table", "sample"),
    [
        ("train", "folds.csv", "s04"),
        ("infer", "data/test.csv", "t4"),
        ("tta", "data/test.csv", "t4"),
    ],
)
def test_an_image_that_is_not_there(refused, damage, command, table, sample):
    damage({f"data/eo_{sample}.png": None})
    more = ", or leave such rows out with drop" if command == "train" else ""
    refused(
        command,
        3,
        f"{table}, column 'eo': sample '{sample}' has no eo image; there is no "
        f"data/eo_{sample}.png. Allow it with --missing-modality zero{more}",
    )


@pytest.mark.parametrize("command", ["infer", "tta"])
def test_no_image_at_all(refused, damage, command):
    damage({"data/test.csv": lambda text: text.replace("sar_", "radar_").replace("eo_", "optic_")})
    refused(
        command,
        3,
        "data/test.csv, column 'sar': sample 't0' has no sar image; there is no data/radar_t0.png "
        "(12 images are missing in all). No image is there at all. Paths are relative to the data "
        "folder, and in a table without a record (X.meta.json) to the folder it stands in",
    )


@pytest.mark.parametrize("command", ["infer", "tta"])
def test_a_folder_in_the_place_of_an_image(refused, damage, command):
    Path("data/eo_t4.png").unlink()
    Path("data/eo_t4.png").mkdir()
    refused(command, 3, "data/eo_t4.png: is a folder; an image is needed")


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../secret.png", "a/../../secret.png", "C:\\x.png", "\\\\host\\x.png"],
)
@pytest.mark.parametrize(
    ("command", "table"),
    [
        ("split", "data/train.csv"),
        ("train", "data/train.csv"),
        ("train", "folds.csv"),
        ("pseudolabel", "data/train.csv"),
        ("infer", "data/test.csv"),
        ("tta", "data/test.csv"),
        ("pseudolabel", "data/test.csv"),
    ],
)
def test_a_path_out_of_the_data_folder(refused, damage, command, table, path):
    Path("secret.png").write_bytes(Path("data/eo_s00.png").read_bytes())

    def spoil(text: str) -> str:
        lines = text.splitlines()
        cells = lines[2].split(",")
        lines[2] = ",".join([*cells[:2], path, *cells[3:]])
        return "\n".join(lines) + "\n"

    damage((NO_FOLDS if table == "data/train.csv" else {}) | {table: spoil})
    refused(
        command,
        3,
        f"{table}, row 2, column 'eo': this path leaves the data folder; paths are relative to it "
        f"(found '{path}')",
    )
