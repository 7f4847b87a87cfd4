"""Mixup, sizes, class weights, states and seeds, each by itself."""

from __future__ import annotations

import csv
import itertools
import os
import pickle
import resource

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from comptool.errors import InputError, UsageError
from comptool.io.records import ModelRecord, RunHeader
from comptool.losses.class_weights import effective_number_weights as effective_weights
from comptool.models.checkpoint_file import save_checkpoint
from comptool.training.checkpoint import columns, write_history
from comptool.training.data import parse_sizes
from comptool.training.distributed import mixed
from comptool.training.mixup import mixup
from comptool.training.nan_guard import Interruption
from comptool.training.training_state import Progress, read_state, write_state

HEADER = RunHeader(
    ModelRecord("x", {}), "multiclass", ["a"], {}, ["m"],
    {"m": [1, 1]}, {"m": 1}, {"m": [0.0]}, {"m": [1.0]},
)  # fmt: skip


@hypothesis_settings(max_examples=30, deadline=None)
@given(st.integers(1, 7), st.floats(0.05, 4), st.integers(0, 10**6))
def test_mixup_mixes_images_of_all_modalities_and_targets_alike(batch, alpha, seed):
    # Each image is its own row number everywhere, so that the share can be read off.
    numbers = torch.arange(batch, dtype=torch.float32)
    first = numbers.view(-1, 1, 1, 1).expand(batch, 3, 2, 2)
    second = numbers.view(-1, 1, 1, 1).expand(batch, 1, 4, 5) + 100
    targets = torch.eye(batch)
    (mixed_first, mixed_second), shares = mixup(
        [first, second], targets, alpha, np.random.default_rng(seed)
    )
    share = np.random.default_rng(seed).beta(alpha, alpha)
    expected = share * numbers + (1 - share) * numbers.flip(0)
    torch.testing.assert_close(mixed_first, expected.view(-1, 1, 1, 1).expand_as(first))
    torch.testing.assert_close(mixed_second, expected.view(-1, 1, 1, 1).expand_as(second) + 100)
    torch.testing.assert_close(shares @ numbers, expected)
    torch.testing.assert_close(shares.sum(1), torch.ones(batch))


def test_the_middle_of_an_odd_batch_stays():
    images = torch.randn(5, 1, 2, 2)
    (after,), _ = mixup([images], torch.eye(5), 1.0, np.random.default_rng(0))
    assert torch.equal(after[2], images[2])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["64"], {"sar": (64, 64), "eo": (64, 64)}),
        (["64x48"], {"sar": (64, 48), "eo": (64, 48)}),
        (["64", "eo=32"], {"sar": (64, 64), "eo": (32, 32)}),
        (["eo=32x16"], {"eo": (32, 16)}),
        ([], {}),
    ],
)
def test_sizes_are_read(texts, expected):
    assert parse_sizes(texts, ["sar", "eo"]) == expected


@pytest.mark.parametrize("text", ["0", "64x", "large", "64x0", "-3", "eo=", "6 4"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(UsageError) as refusal:
        parse_sizes([text], ["sar", "eo"])
    assert str(refusal.value) == (
        f"--img-size is '{text}'; it is 64, 64x48 (height, width) or sar=64"
    )


def test_effective_weights_are_those_of_the_formula():
    counts = [5000, 500, 5]
    numbers = [(1 - 0.9999) / (1 - 0.9999**count) for count in counts]
    expected = [3 * number / sum(numbers) for number in numbers]
    assert effective_weights(counts) == pytest.approx(expected, rel=1e-12)
    assert effective_weights([7, 7]) == pytest.approx([1, 1])
    assert sum(effective_weights([0, 10, 10**7])) == pytest.approx(3)


def test_places_next_to_one_another_get_unrelated_seeds():
    places = itertools.product(range(5), range(5), range(40))
    seeds = {mixed(*place) for place in places}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_state_comes_back_as_it_was(tmp_path):
    progress = Progress(epoch=2, update=3, loss_sum=0.1 + 0.2, seen=12, best_score=0.5,
                        history=[{"epoch": 1, "val_accuracy": None}])  # fmt: skip
    weights = {"w": torch.randn(3)}
    beside = [{"ema": None}, HEADER, {"rows": "x"}, {"norms": {"passes": 2}}]
    write_state(tmp_path / "last.pt", progress, weights, *beside)
    state = read_state(tmp_path / "last.pt")
    assert state.progress == progress
    assert torch.equal(state.weights["w"], weights["w"])
    assert [state.optimisation, state.header, state.identity, state.gauges] == beside


class Bomb:
    """Unpickled without care, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_a_state_that_would_run_code_is_refused_and_not_run(how, tmp_path):
    path, mark = tmp_path / "last.pt", tmp_path / "ran"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"format": 1, "progress": Bomb(mark)}, protocol=2))
    else:
        torch.save({"format": 1, "progress": Bomb(mark)}, path)
    with pytest.raises(InputError) as refusal:
        read_state(path)
    assert str(refusal.value) == (
        f"{path}: is no readable training state, it may be truncated or hold code. Train again "
        "with --force"
    )
    assert not mark.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_state_is_refused(share, tmp_path):
    path = tmp_path / "last.pt"
    write_state(path, Progress(), {"w": torch.randn(1000)}, {}, HEADER, {}, {})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="is no readable training state"):
        read_state(path)


@pytest.fixture
def little_room():
    """No file can grow beyond 20,000 bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_state_that_cannot_be_written_leaves_the_old_one(tmp_path, little_room):
    path = tmp_path / "last.pt"
    write_state(path, Progress(epoch=1), {"w": torch.zeros(10)}, {}, HEADER, {}, {})
    with pytest.raises(InputError) as refusal:
        write_state(path, Progress(epoch=2), {"w": torch.zeros(100_000)}, {}, HEADER, {}, {})
    assert str(refusal.value) == (
        f"{path}: could not be written (File too large); nothing was changed"
    )
    assert read_state(path).progress.epoch == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_that_cannot_be_written_is_no_checkpoint(tmp_path, little_room):
    path = tmp_path / "best.safetensors"
    with pytest.raises(InputError) as refusal:
        save_checkpoint(path, torch.nn.Linear(300, 300), HEADER)
    assert str(refusal.value) == (
        f"{path}: could not be written (File too large); nothing was changed"
    )
    assert not list(tmp_path.iterdir())


def test_another_torch_file_is_no_state(tmp_path):
    torch.save({"w": torch.zeros(1)}, tmp_path / "last.pt")
    with pytest.raises(InputError, match="is no training state of this version"):
        read_state(tmp_path / "last.pt")


def test_the_history_reads_back_exactly(tmp_path):
    row = dict(zip(columns("kappa"), [1, 1e-3, 0.1 + 0.2, None, 1 / 3, 2.5, 100.0], strict=True))
    write_history(tmp_path / "metrics.csv", [row], "kappa")
    text = (tmp_path / "metrics.csv").read_text().splitlines()
    assert text[0] == "epoch,lr,train_loss,val_loss,val_kappa,seconds,images_per_second"
    assert text[1] == "1,0.001,0.30000000000000004,,0.3333333333333333,2.5,100.0"


def test_the_history_has_the_columns_of_every_row(tmp_path):
    rows = [{"epoch": 1, "alpha": 0.5}, {"epoch": 2, "alpha": 0.6, "norm": None}, {"epoch": 3}]
    write_history(tmp_path / "metrics.csv", rows, "kappa")
    found = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert list(found[0]) == [*columns("kappa"), "alpha", "norm"]
    assert [row["alpha"] for row in found] == ["0.5", "0.6", ""]
    assert [row["norm"] for row in found] == [""] * 3


def test_the_first_signal_asks_and_the_second_acts():
    import signal

    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        assert not interruption.requested
        signal.raise_signal(signal.SIGINT)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
