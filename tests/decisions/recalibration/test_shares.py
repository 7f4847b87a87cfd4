"""Class shares as a person gives them."""

from __future__ import annotations

import numpy as np
import pytest

from comptool.errors import InputError, UsageError
from comptool.postprocess.calibration.context import shares_of

CLASSES = ("a", "b", "c")


def shares(text):
    return shares_of(str(text), CLASSES, lambda: np.array([6, 3, 1]))


def write(folder, *rows):
    path = folder / "prior.csv"
    path.write_text("\n".join(["class,share", *rows]) + "\n")
    return path


def test_uniform_and_train_are_known_by_name():
    assert shares("uniform")[0].tolist() == [1 / 3] * 3
    assert shares("train")[0].tolist() == [0.6, 0.3, 0.1]
    assert shares("uniform")[1] == "equally frequent"


def test_training_shares_of_nought_are_refused():
    with pytest.raises(UsageError, match="the training set has no 'b'"):
        shares_of("train", CLASSES, lambda: np.array([6, 0, 1]))


def test_a_file_gives_them_in_any_order(tmp_path):
    found, words = shares(write(tmp_path, "c,0.5", "a,0.2", "b,0.3"))
    np.testing.assert_allclose(found, [0.2, 0.3, 0.5])
    assert words.endswith("prior.csv")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("a,0.2", "b,0.3", "c,0.4"), r"do not sum to one \(found '0.9000'\)"),
        (("a,0.5", "b,0.5", "c,0"), r"row 3, column 'share': a share is a number above 0"),
        (("a,0.5", "b,x", "c,0.5"), r"row 2, column 'share'.*found 'x'"),
        (("a,0.5", "b,0.5"), "its classes are not those of the predictions: a, b against a, b, c"),
        (("a,0.5", "a,0.5", "c,0.1"), "its classes are not those"),
    ],
)
def test_a_file_that_gives_none_is_refused_by_its_row(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        shares(write(tmp_path, *rows))


def test_a_name_that_is_neither_is_refused():
    with pytest.raises(
        InputError, match=r"unifrom: there is no such file.*uniform, train, estimated or"
    ):
        shares("unifrom")
