"""Downloads as organisers hand them out, in a few small images, with the hidden answers.

Every layout is that of a public competition, which it names. It draws its files into a folder and
returns the answers as the organiser keeps them.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn import metrics

SIDE = 20


def picture(kind: int, kinds: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with a bright stripe whose place is the class, uint8 of shape (20, 20)."""
    pixels = rng.integers(0, 90, (SIDE, SIDE), dtype=np.uint8)
    left = kind * SIDE // kinds
    pixels[:, left : left + max(1, SIDE // kinds)] += 120
    return pixels


class Download:
    """A download that is being drawn."""

    def __init__(self, folder: Path, kinds: int) -> None:
        self.folder, self.kinds = folder, kinds
        self.rng = np.random.default_rng(kinds)
        folder.mkdir(parents=True)

    def image(self, path: str, kind: int, colour: bool = True) -> None:
        """An image of a class."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pixels = picture(kind, self.kinds, self.rng)
        Image.fromarray(np.stack([pixels] * 3, -1) if colour else pixels).save(target)

    def table(self, path: str, **columns: Sequence[object]) -> pd.DataFrame:
        """A CSV."""
        frame = pd.DataFrame(columns)
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(self.folder / path, index=False)
        return frame

    def text(self, path: str, content: str) -> None:
        """A file of text."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(content, encoding="utf-8")

    def pack(self, archive: str, member: str) -> None:
        """Replace a folder by an archive of it."""
        inside = sorted(path for path in (self.folder / member).rglob("*") if path.is_file())
        if archive.endswith(".zip"):
            with zipfile.ZipFile(self.folder / archive, "w") as packed:
                for path in inside:
                    packed.write(path, path.relative_to(self.folder))
        else:
            with tarfile.open(self.folder / archive, "w:gz") as packed:
                for path in inside:
                    packed.add(path, path.relative_to(self.folder))
        for path in inside:
            path.unlink()
        for path in sorted((self.folder / member).rglob("*"), reverse=True):
            path.rmdir()
        (self.folder / member).rmdir()

    def metric(self, sentence: str) -> None:
        """The page that names the metric."""
        self.text("description.md", f"# Overview\n\n## Evaluation\n\n{sentence}\n")


def kinds_of(count: int, kinds: int) -> list[int]:
    """So many classes in turn."""
    return [number % kinds for number in range(count)]


def shuffled(count: int, kinds: int) -> list[int]:
    """So many classes, each as often, in an order of their own."""
    return np.random.default_rng(count).permutation(kinds_of(count, kinds)).tolist()


TRAIN, TEST = 40, 20


def zipped_binary(folder: Path) -> pd.DataFrame:
    """Two zips, file names with suffix as ids, one probability (aerial-cactus-identification)."""
    download = Download(folder, 2)
    train, test = kinds_of(TRAIN, 2), shuffled(TEST, 2)
    for number, kind in enumerate(train):
        download.image(f"train/{number:04x}.jpg", kind)
    for number, kind in enumerate(test):
        download.image(f"test/{number + 999:04x}.jpg", kind)
    download.pack("train.zip", "train")
    download.pack("test.zip", "test")
    ids = [f"{number + 999:04x}.jpg" for number in range(TEST)]
    names = [f"{number:04x}.jpg" for number in range(TRAIN)]
    download.table("train.csv", id=names, has_cactus=train)
    download.table("sample_submission.csv", id=ids, has_cactus=[0.5] * TEST)
    download.metric("Submissions are evaluated on the area under the ROC curve.")
    return pd.DataFrame({"id": ids, "has_cactus": test})


def grades(folder: Path) -> pd.DataFrame:
    """Grades by quadratic weighted kappa (aptos2019-blindness-detection)."""
    download = Download(folder, 5)
    train, test = kinds_of(TRAIN, 5), shuffled(TEST, 5)
    for number, kind in enumerate(train):
        download.image(f"train_images/a{number:03d}.png", kind)
    for number, kind in enumerate(test):
        download.image(f"test_images/b{number:03d}.png", kind)
    ids = [f"b{number:03d}" for number in range(TEST)]
    download.table("train.csv", id_code=[f"a{n:03d}" for n in range(TRAIN)], diagnosis=train)
    download.table("test.csv", id_code=ids)
    download.table("sample_submission.csv", id_code=ids, diagnosis=[0] * TEST)
    download.metric("Submissions are scored based on the quadratic weighted kappa.")
    return pd.DataFrame({"id_code": ids, "diagnosis": test})


def coco(folder: Path) -> pd.DataFrame:
    """Annotations in a JSON of images, annotations and categories (herbarium-2020-fgvc7)."""
    download = Download(folder, 3)
    categories = [0, 27, 1550]
    train, test = kinds_of(TRAIN, 3), shuffled(TEST, 3)
    images, annotations = [], []
    for number, kind in enumerate(train):
        name = f"images/{kind:03d}/{number}.jpg"
        download.image(f"plants/train/{name}", kind)
        images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE})
        annotations.append({"id": number, "image_id": number, "category_id": categories[kind]})
    named = [{"id": one, "name": f"Species {one}"} for one in categories]
    meta = {"images": images, "annotations": annotations, "categories": named, "info": {}}
    download.text("plants/train/metadata.json", json.dumps(meta))
    seen = []
    for number, kind in enumerate(test):
        download.image(f"plants/test/images/000/{number}.jpg", kind)
        seen.append({"id": str(number), "file_name": f"images/000/{number}.jpg"})
    download.text("plants/test/metadata.json", json.dumps({"images": seen, "info": {}}))
    download.table("sample_submission.csv", Id=range(TEST), Predicted=[0] * TEST)
    download.metric("Submissions are evaluated using the macro F1 score.")
    return pd.DataFrame({"Id": range(TEST), "Predicted": [categories[kind] for kind in test]})


def camera_traps(folder: Path) -> pd.DataFrame:
    """Two JSON files at the top, ids of text, a test JSON with categories (iwildcam-2020)."""
    download = Download(folder, 3)
    categories = [0, 2, 265]
    train, test = kinds_of(TRAIN, 3), shuffled(TEST, 3)

    def drawn(where: str, kinds: list[int]) -> list[dict[str, object]]:
        entries = []
        for number, kind in enumerate(kinds):
            name = f"{where[0]}{number:03d}-21bc"
            download.image(f"{where}/{name}.jpg", kind)
            place = {"location": number % 4, "seq_id": name}
            entries.append({"id": name, "file_name": f"{name}.jpg", **place})
        return entries

    images, seen = drawn("train", train), drawn("test", test)
    annotations = [
        {"id": f"x{number}", "image_id": one["id"], "category_id": categories[kind], "count": 1}
        for number, (one, kind) in enumerate(zip(images, train, strict=True))
    ]
    named = [{"id": one, "name": f"animal {one}"} for one in categories]
    both = {"images": images, "annotations": annotations, "categories": named}
    download.text("wild_train_annotations.json", json.dumps(both))
    download.text("wild_test_information.json", json.dumps({"images": seen, "categories": named}))
    ids = [one["id"] for one in seen]
    download.table("sample_submission.csv", Id=ids, Category=[2] * TEST)
    download.metric("Submissions will be evaluated based on their categorization accuracy.")
    return pd.DataFrame({"Id": ids, "Category": [categories[kind] for kind in test]})


def file_name_labels(folder: Path) -> pd.DataFrame:
    """The label is in the file name, ids count from 1 (dogs-vs-cats-redux)."""
    download = Download(folder, 2)
    for number in range(TRAIN // 2):
        download.image(f"train/cat.{number}.jpg", 0)
        download.image(f"train/dog.{number}.jpg", 1)
    test = shuffled(TEST, 2)
    for number, kind in enumerate(test, 1):
        download.image(f"test/{number}.jpg", kind)
    download.pack("train.zip", "train")
    download.pack("test.zip", "test")
    download.table("sample_submission.csv", id=range(1, TEST + 1), label=[0.5] * TEST)
    download.metric("Submissions are scored on the log loss of the probability that it is a dog.")
    return pd.DataFrame({"id": range(1, TEST + 1), "label": test})


def top_five(folder: Path) -> pd.DataFrame:
    """A list of the five best classes, in folders that are not the classes (hotel-id-2021)."""
    download = Download(folder, 6)
    hotels = [36363, 53586, 18807, 64314, 60181, 22408]
    train, test = kinds_of(TRAIN + 2, 6), shuffled(TEST, 6)
    for number, kind in enumerate(train):
        download.image(f"train_images/{kind % 2 * 88}/a{number:03d}.jpg", kind)
    names = [f"a{number:03d}.jpg" for number in range(len(train))]
    download.table("train.csv", image=names, chain=[kind % 2 * 88 for kind in train],
                   hotel_id=[hotels[kind] for kind in train])  # fmt: skip
    ids = [f"b{number:03d}.jpg" for number in range(TEST)]
    for name, kind in zip(ids, test, strict=True):
        download.image(f"test_images/{name}", kind)
    listed = " ".join(map(str, hotels[:5]))
    download.table("sample_submission.csv", image=ids, hotel_id=[listed] * TEST)
    download.metric("Submissions are evaluated according to the Mean Average Precision @ 5 (MAP@5)")
    return pd.DataFrame({"image": ids, "hotel_id": [hotels[kind] for kind in test]})


def label_lists(folder: Path) -> pd.DataFrame:
    """Lists of label numbers (imet-2020-fgvc7)."""
    download = Download(folder, 4)
    names = ["1", "448", "2429", "782"]
    rng = np.random.default_rng(4)

    def drawn(where: str, count: int) -> tuple[list[str], list[str]]:
        ids, lists = [], []
        for number in range(count):
            several = sorted({number % 4, *np.flatnonzero(rng.random(4) < 0.3).tolist()})
            ids.append(f"{where[:2]}{number:03d}")
            download.image(f"{where}/{ids[-1]}.png", several[0])
            lists.append(" ".join(names[one] for one in several))
        return ids, lists

    ids, lists = drawn("train", TRAIN)
    download.table("train.csv", id=ids, attribute_ids=lists)
    ids, lists = drawn("test", TEST)
    download.table("sample_submission.csv", id=ids, attribute_ids=["1 448"] * TEST)
    download.table("labels.csv", attribute_id=names, attribute_name=[f"tag::{n}" for n in names])
    download.metric("Submissions will be evaluated based on their micro averaged F1 score.")
    return pd.DataFrame({"id": ids, "attribute_ids": lists})


def packed_json(folder: Path) -> pd.DataFrame:
    """Class folders of two levels in a tar, tables in JSON (inaturalist-2019-fgvc6)."""
    download = Download(folder, 3)
    categories, groups = [0, 215, 1009], ["Birds", "Fungi", "Plants"]

    def part(count: int, first: int) -> str:
        images, annotations = [], []
        for number in range(count):
            kind, identity = number % 3, first + number
            name = f"train_val/{groups[kind]}/{categories[kind]}/{identity:05x}.jpg"
            download.image(name, kind)
            images.append({"id": identity, "file_name": name, "width": SIDE, "height": SIDE})
            annotations.append(
                {"id": identity, "image_id": identity, "category_id": categories[kind]}
            )
        named = [{"id": one, "name": str(one)} for one in categories]
        return json.dumps({"images": images, "annotations": annotations, "categories": named})

    download.text("train2019.json", part(TRAIN, 0))
    download.text("val2019.json", part(9, 5000))
    test = shuffled(TEST, 3)
    seen = []
    for number, kind in enumerate(test):
        name = f"test2019/{number + 9000:05x}.jpg"
        download.image(name, kind)
        seen.append({"id": 30000 + number, "file_name": name})
    download.text("test2019.json", json.dumps({"images": seen}))
    download.pack("train_val.tar.gz", "train_val")
    download.pack("test2019.tar.gz", "test2019")
    ids = range(30000, 30000 + TEST)
    predicted = np.random.default_rng(0).integers(0, 1010, TEST)
    download.table("kaggle_sample_submission.csv", id=ids, predicted=predicted)
    download.metric("We use top-1 classification error as the metric for this competition.")
    return pd.DataFrame({"id": ids, "predicted": [categories[kind] for kind in test]})


def blank_sample(folder: Path) -> pd.DataFrame:
    """Class folders, a table and a blank sample (paddy-disease-classification)."""
    download = Download(folder, 4)
    names = ["blast", "brown_spot", "hispa", "normal"]
    train, test = kinds_of(TRAIN, 4), shuffled(TEST, 4)
    for number, kind in enumerate(train):
        download.image(f"train_images/{names[kind]}/{1000 + number}.jpg", kind)
    images = [f"{1000 + number}.jpg" for number in range(TRAIN)]
    kind_of_rice = ["ADT45", "Ponni"] * (TRAIN // 2)
    labels = [names[kind] for kind in train]
    download.table("train.csv", image_id=images, label=labels, variety=kind_of_rice, age=45)
    ids = [f"{2000 + number}.jpg" for number in range(TEST)]
    for name, kind in zip(ids, test, strict=True):
        download.image(f"test_images/{name}", kind)
    download.table("sample_submission.csv", image_id=ids, label=[""] * TEST)
    download.metric("Submissions are evaluated by categorization accuracy.")
    return pd.DataFrame({"image_id": ids, "label": [names[kind] for kind in test]})


def number(folder: Path) -> pd.DataFrame:
    """A number of an image beside 0/1 columns that are no labels (petfinder-pawpularity)."""
    download = Download(folder, 20)
    rng = np.random.default_rng(1)

    def drawn(where: str, count: int) -> pd.DataFrame:
        values = rng.integers(1, 100, count)
        ids = [f"{where[:2]}{one:03d}" for one in range(count)]
        for name, value in zip(ids, values, strict=True):
            download.image(f"{where}/{name}.jpg", int(value) // 5)
        flags = {name: rng.integers(0, 2, count) for name in ("Eyes", "Face", "Blur")}
        return pd.DataFrame({"Id": ids, **flags, "Pawpularity": values})

    train, test = drawn("train", TRAIN), drawn("test", TEST)
    train.to_csv(folder / "train.csv", index=False)
    test.drop(columns="Pawpularity").to_csv(folder / "test.csv", index=False)
    guesses = rng.uniform(1, 100, TEST).round(2)
    download.table("sample_submission.csv", Id=test["Id"], Pawpularity=guesses)
    download.metric("Submissions are scored on the root mean squared error (RMSE).")
    return test


def one_hot(folder: Path) -> pd.DataFrame:
    """One column per class, of which one is 1 (plant-pathology-2020-fgvc7)."""
    download = Download(folder, 4)
    names = ["healthy", "multiple_diseases", "rust", "scab"]

    def drawn(prefix: str, kinds: list[int]) -> pd.DataFrame:
        ids = [f"{prefix}_{one}" for one in range(len(kinds))]
        for name, kind in zip(ids, kinds, strict=True):
            download.image(f"images/{name}.jpg", kind)
        cells = np.eye(4, dtype=int)[kinds]
        return pd.DataFrame({"image_id": ids, **dict(zip(names, cells.T, strict=True))})

    train, test = drawn("Train", kinds_of(TRAIN, 4)), drawn("Test", shuffled(TEST, 4))
    train.to_csv(folder / "train.csv", index=False)
    test[["image_id"]].to_csv(folder / "test.csv", index=False)
    test.assign(**dict.fromkeys(names, 0.25)).to_csv(folder / "sample_submission.csv", index=False)
    download.metric("Submissions are evaluated on mean column-wise ROC AUC.")
    return test


def class_folders(folder: Path) -> pd.DataFrame:
    """Class folders with blanks in their names; ids with suffix (plant-seedlings)."""
    download = Download(folder, 4)
    names = ["Black-grass", "Common wheat", "Fat Hen", "Sugar beet"]
    for number, kind in enumerate(kinds_of(TRAIN, 4)):
        download.image(f"train/{names[kind]}/a{number:03d}.png", kind)
    test = shuffled(TEST, 4)
    ids = [f"b{number:03d}.png" for number in range(TEST)]
    for name, kind in zip(ids, test, strict=True):
        download.image(f"test/{name}", kind)
    download.table("sample_submission.csv", file=ids, species=["Sugar beet"] * TEST)
    download.metric("Submissions are evaluated on MeanFScore, which at Kaggle is actually a "
                    "micro-averaged F1-score.")  # fmt: skip
    return pd.DataFrame({"file": ids, "species": [names[kind] for kind in test]})


def arrays(folder: Path) -> pd.DataFrame:
    """Arrays of six bands in folders by their first character (seti-breakthrough-listen)."""
    download = Download(folder, 2)

    def drawn(where: str, kinds: list[int]) -> list[str]:
        ids = []
        for number, kind in enumerate(kinds):
            ids.append(f"{number % 3}{where[1]}{number:03d}")
            path = folder / where / ids[-1][0] / f"{ids[-1]}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            bands = [picture(kind, 2, download.rng) for _ in range(6)]
            np.save(path, np.stack(bands).astype(np.float16))
        return ids

    train, test = kinds_of(TRAIN, 2), shuffled(TEST, 2)
    download.table("train_labels.csv", id=drawn("train", train), target=train)
    ids = drawn("test", test)
    download.table("sample_submission.csv", id=ids, target=[0.5] * TEST)
    (folder / "old_leaky_data").mkdir()
    download.metric("Submissions are evaluated on area under the ROC curve.")
    return pd.DataFrame({"id": ids, "target": test})


def twofold_images(folder: Path) -> pd.DataFrame:
    """Whole numbers in the sample, probabilities by the metric; patients (siim-isic-melanoma)."""
    download = Download(folder, 2)

    def drawn(where: str, first: int, kinds: list[int]) -> pd.DataFrame:
        ids = [f"ISIC_{first + one:07d}" for one in range(len(kinds))]
        for name, kind in zip(ids, kinds, strict=True):
            download.image(f"jpeg/{where}/{name}.jpg", kind)
        patients = [f"IP_{(first + one) // 2}" for one in range(len(kinds))]
        words = ["malignant" if kind else "benign" for kind in kinds]
        return pd.DataFrame({"image_name": ids, "patient_id": patients, "sex": "male",
                             "benign_malignant": words, "target": kinds})  # fmt: skip

    train, test = drawn("train", 100, kinds_of(TRAIN, 2)), drawn("test", 900, shuffled(TEST, 2))
    train.to_csv(folder / "train.csv", index=False)
    test.iloc[:, :3].to_csv(folder / "test.csv", index=False)
    answers = test[["image_name", "target"]]
    answers.assign(target=0).to_csv(folder / "sample_submission.csv", index=False)
    download.metric("Submissions are evaluated on area under the ROC curve.")
    return answers


def stained_cells(folder: Path) -> pd.DataFrame:
    """Four grey files per image, lists of labels (Human Protein Atlas 2018)."""
    download = Download(folder, 4)
    rng = np.random.default_rng(8)

    def drawn(where: str, count: int) -> tuple[list[str], list[str]]:
        ids, lists = [], []
        for number in range(count):
            several = sorted({number % 4, *np.flatnonzero(rng.random(4) < 0.3).tolist()})
            ids.append(f"{where[:2]}{number:03d}-bb")
            for stain in ("red", "green", "blue", "yellow"):
                download.image(f"{where}/{ids[-1]}_{stain}.png", several[0], colour=False)
            lists.append(" ".join(map(str, several)))
        return ids, lists

    ids, lists = drawn("train", TRAIN)
    download.table("train.csv", Id=ids, Target=lists)
    ids, lists = drawn("test", TEST)
    download.table("sample_submission.csv", Id=ids, Predicted=["0"] * TEST)
    download.metric("Submissions will be evaluated based on their macro F1 score.")
    return pd.DataFrame({"Id": ids, "Target": lists})


def records(folder: Path) -> pd.DataFrame:
    """Images inside a BSON file, several per record (cdiscount)."""
    import bson

    download = Download(folder, 3)
    categories = [1000010653, 1000004079, 1000018290]

    def record(identity: int, kind: int, more: dict[str, int]) -> bytes:
        pictures = []
        for _ in range(1 + identity % 2):
            content = io.BytesIO()
            Image.fromarray(picture(kind, 3, download.rng)).save(content, "JPEG")
            pictures.append({"picture": content.getvalue()})
        return bson.encode({"_id": identity, **more, "imgs": pictures})

    train, test = kinds_of(TRAIN, 3), shuffled(TEST, 3)
    (folder / "train.bson").write_bytes(b"".join(
        record(number, kind, {"category_id": categories[kind]})
        for number, kind in enumerate(train)
    ))  # fmt: skip
    (folder / "test.bson").write_bytes(
        b"".join(record(TRAIN + number, kind, {}) for number, kind in enumerate(test))
    )
    ids = range(TRAIN, TRAIN + TEST)
    download.table("sample_submission.csv", _id=ids, category_id=[categories[0]] * TEST)
    download.metric("Submissions are evaluated based on the categorization accuracy.")
    return pd.DataFrame({"_id": ids, "category_id": [categories[kind] for kind in test]})


def paired_views(folder: Path) -> pd.DataFrame:
    """One answer for two images, whose id the training table lacks (rsna-breast-cancer)."""
    download = Download(folder, 2)

    def drawn(where: str, kinds: list[int], first: int) -> dict[str, list[object]]:
        rows: dict[str, list[object]] = {
            name: [] for name in ("patient_id", "image_id", "laterality", "view", "cancer")
        }
        for number, kind in enumerate(kinds):
            patient, side = first + number // 2, "LR"[number % 2]
            for view in ("CC", "MLO"):
                image = 7919 * (first + number) + len(view)
                download.image(f"{where}_images/{patient}/{image}.png", kind, colour=False)
                for name, cell in zip(rows, (patient, image, side, view, kind), strict=True):
                    rows[name].append(cell)
        return rows

    train, test = shuffled(TRAIN, 2), shuffled(TEST, 2)
    download.table("train.csv", **drawn("train", train, 10000))
    rows = drawn("test", test, 10500)
    rows.pop("cancer")
    pairs = zip(rows["patient_id"], rows["laterality"], strict=True)
    asked = [f"{patient}_{side}" for patient, side in pairs]
    download.table("test.csv", **rows, prediction_id=asked)
    ids = list(dict.fromkeys(asked))
    download.table("sample_submission.csv", prediction_id=ids, cancer=[0.3] * TEST)
    download.metric("Submissions are evaluated on the area under the ROC curve.")
    return pd.DataFrame({"prediction_id": ids, "cancer": test})


def slices(folder: Path) -> pd.DataFrame:
    """A folder of slices per study, and a row per study and label (rsna-2022-cervical-spine)."""
    download = Download(folder, 2)
    labels = ["patient_overall", "C1", "C2"]

    def drawn(where: str, kinds: list[int], first: int) -> tuple[list[str], list[list[int]]]:
        studies, cells = [], []
        for number, kind in enumerate(kinds):
            studies.append(f"1.2.826.{first + number}")
            for place in range(1, 3 + number % 2):
                download.image(f"{where}_images/{studies[-1]}/{place}.png", kind, colour=False)
            cells.append([kind, kind * (number % 2), number % 2])
        return studies, cells

    studies, cells = drawn("train", shuffled(TRAIN, 2), 10000)
    columns = dict(zip(labels, zip(*cells, strict=True), strict=True))
    download.table("train.csv", StudyInstanceUID=studies, **columns)
    studies, cells = drawn("test", shuffled(TEST, 2), 20000)
    rows = [(study, name) for name in labels for study in studies]
    ids = [f"{study}_{name}" for study, name in rows]
    uids, kinds = zip(*rows, strict=True)
    download.table("test.csv", StudyInstanceUID=uids, prediction_type=kinds, row_id=ids)
    download.table("sample_submission.csv", row_id=ids, fractured=[0.5] * len(ids))
    download.metric("Submissions are evaluated using the log loss.")
    true = dict(zip(studies, cells, strict=True))
    answers = [true[study][labels.index(name)] for study, name in rows]
    return pd.DataFrame({"row_id": ids, "fractured": answers})


@dataclass(frozen=True)
class Layout:
    """A download, what is right for it, and the organiser's own score of a submission."""

    build: Callable[[Path], pd.DataFrame]
    task: str
    metric: str
    form: str  # words of the answer form's check, or part of them
    grade: Callable[[pd.DataFrame, pd.DataFrame], float]
    needs: str = ""  # package of an optional reader


def _of(column: str, score: Callable[..., float], **options: object):
    """A score of one column."""

    def grade(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        return score(answers[column], submission[column], **options)

    return grade


def _cells(column: str, answers_column: str, average: str):
    """F1 of lists of labels."""

    def grade(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
        truth = [set(str(cell).split()) for cell in answers[answers_column]]
        given = [set(str(cell).split()) for cell in submission[column].fillna("")]
        names = sorted(set.union(*truth))
        matrices = [[[name in row for name in names] for row in rows] for rows in (truth, given)]
        return metrics.f1_score(*map(np.array, matrices), average=average, zero_division=0)

    return grade


def _first_hit(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
    ranks = [
        str(given).split().index(str(true)) + 1 if str(true) in str(given).split()[:5] else np.inf
        for given, true in zip(submission["hotel_id"], answers["hotel_id"], strict=True)
    ]
    return float(np.mean(1 / np.array(ranks)))


def _columns(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
    names = list(answers.columns[1:])
    return metrics.roc_auc_score(answers[names], submission[names], average="macro")


def _micro(truth: pd.Series, given: pd.Series) -> float:
    return metrics.f1_score(truth, given, average="micro")


LAYOUTS = {
    "zipped-binary": Layout(zipped_binary, "multiclass", "auc", "probability",
        _of("has_cactus", metrics.roc_auc_score)),
    "grades": Layout(grades, "ordinal", "quadratic-kappa", "class",
        _of("diagnosis", metrics.cohen_kappa_score, weights="quadratic")),
    "coco": Layout(coco, "multiclass", "macro-f1", "class",
        _of("Predicted", metrics.f1_score, average="macro")),
    "camera-traps": Layout(camera_traps, "multiclass", "accuracy", "class",
        _of("Category", metrics.accuracy_score)),
    "file-name-labels": Layout(file_name_labels, "multiclass", "logloss", "probability",
        _of("label", metrics.log_loss)),
    "top-five": Layout(top_five, "multiclass", "map@5", "5", _first_hit),
    "label-lists": Layout(label_lists, "multilabel", "micro-f1", "list",
        _cells("attribute_ids", "attribute_ids", "micro")),
    "packed-json": Layout(packed_json, "multiclass", "accuracy", "class",
        _of("predicted", metrics.accuracy_score)),
    "blank-sample": Layout(blank_sample, "multiclass", "accuracy", "class",
        _of("label", metrics.accuracy_score)),
    "number": Layout(number, "regression", "rmse", "number",
        _of("Pawpularity", metrics.root_mean_squared_error)),
    "one-hot": Layout(one_hot, "", "auc", "probability", _columns),
    "class-folders": Layout(class_folders, "multiclass", "accuracy", "class",
        _of("species", _micro)),
    "arrays": Layout(arrays, "multiclass", "auc", "probability",
        _of("target", metrics.roc_auc_score)),
    "patients": Layout(twofold_images, "multiclass", "auc", "probability",
        _of("target", metrics.roc_auc_score)),
    "stained-cells": Layout(stained_cells, "multilabel", "macro-f1", "list",
        _cells("Predicted", "Target", "macro")),
    "paired-views": Layout(paired_views, "multiclass", "auc", "probability",
        _of("cancer", metrics.roc_auc_score)),
    "slices": Layout(slices, "multilabel", "logloss", "probability",
        _of("fractured", metrics.log_loss)),
    "records": Layout(records, "multiclass", "accuracy", "class",
        _of("category_id", metrics.accuracy_score), needs="bson"),
}  # fmt: skip


def main() -> None:
    """Draw downloads: ``python tests/competitions/layouts.py OUT [NAME ...]``."""
    out, *names = sys.argv[1:]
    for name in names or LAYOUTS:
        answers = LAYOUTS[name].build(Path(out) / name / "data")
        answers.to_csv(Path(out) / name / "answers.csv", index=False)
        print(f"{out}/{name}: {LAYOUTS[name].build.__doc__.splitlines()[0]}")


if __name__ == "__main__":
    main()
