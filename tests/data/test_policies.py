"""What the named policies draw: each operation as often as the papers say, and in what order."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from comptool.data.augment import named_policies
from comptool.data.augment.named_policies import (
    ALL_SYMMETRIES,
    GEOMETRIC,
    IMAGENET_POLICY,
    KEEPING_SHAPE,
    OPERATIONS,
    PHOTOMETRIC,
    SeededNumbers,
    create,
)
from comptool.errors import UsageError

MANY = np.random.default_rng(1).integers(0, 2**62, 20_000)
FEW = 1e-4  # chance of a false alarm


def test_an_unknown_policy_is_named_with_the_nearest():
    with pytest.raises(UsageError) as error:
        create("flip")
    assert str(error.value).startswith("no augmentation is called 'flip'; did you mean 'flips'")


def test_a_magnitude_goes_from_0_to_30():
    with pytest.raises(UsageError) as refusal:
        create("weak", magnitude=31)
    assert str(refusal.value) == "--magnitude is 31; it goes from 0 to 30"


def test_policies_wait_for_neither_albumentations_nor_torch():
    code = (
        "import sys; from comptool.data.augment.named_policies import POLICIES, create\n"
        "[create(name) for name in POLICIES.names]\n"
        "sys.exit(bool({'albumentations', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_autoaugment_is_torchvisions_table():
    from torchvision.transforms import AutoAugment

    names = {"ShearX": "shear-x", "ShearY": "shear-y", "Color": "colour"}
    wanted = tuple(
        tuple((names.get(name, name.lower()), p, level or 0) for name, p, level in pair)
        for pair in AutoAugment().policies
    )
    assert wanted == IMAGENET_POLICY


@given(st.lists(st.integers(0, 2**62 - 1), min_size=2, max_size=20), st.data())
def test_what_becomes_of_a_sample_follows_from_its_seed_alone(seeds, data):
    chosen = data.draw(st.lists(st.integers(0, len(seeds) - 1), min_size=1))
    policy = create(data.draw(st.sampled_from(["flips", "weak", "strong"])), cutout=0.4)
    whole = policy.draw(np.array(seeds), 2, square=True)
    part = policy.draw(np.array(seeds)[chosen], 2, square=True)
    if whole.elements is not None:
        np.testing.assert_array_equal(part.elements, whole.elements[chosen])
    np.testing.assert_array_equal(part.holes.centres, whole.holes.centres[chosen])
    np.testing.assert_array_equal(part.holes.colours, whole.holes.colours[chosen])
    for one, other in zip(part.operations, whole.operations, strict=True):
        np.testing.assert_array_equal(one.codes, other.codes[:, chosen])
        np.testing.assert_array_equal(one.strengths, other.strengths[:, chosen])


def test_numbers_of_neighbouring_seeds_and_of_streams_have_nothing_in_common():
    numbers = SeededNumbers(np.arange(20_000), np.arange(3)[:, None])
    drawn = np.concatenate([numbers.uniform(), numbers.uniform()])
    for row in drawn:
        assert stats.kstest(row, "uniform").pvalue > FEW
    # Between draws and streams, and between a seed and the next.
    assert np.abs(np.corrcoef(drawn) - np.eye(6)).max() < 4 / np.sqrt(20_000)
    assert abs(np.corrcoef(drawn[0, 1:], drawn[0, :-1])[0, 1]) < 4 / np.sqrt(20_000)
    counts = np.bincount(SeededNumbers(MANY, np.zeros(1, np.int64)).below(7))
    assert stats.chisquare(counts).pvalue > FEW


def test_splitmix_gives_the_numbers_of_its_authors():
    """A generator with state 0 begins with these, in any implementation."""
    state = np.zeros(1, np.uint64)
    with np.errstate(over="ignore"):
        drawn = [int(named_policies._mixed(state + n * named_policies._STEP)[0]) for n in (1, 2)]
    assert drawn == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def frequencies(drawn, modality=0):
    return np.bincount(drawn.codes[modality], minlength=len(OPERATIONS))


def test_randaugment_draws_each_of_fourteen_equally_and_photometry_for_each_modality():
    for drawn in create("weak", num_ops=3).draw(MANY, 2, square=True).operations:
        for modality in (0, 1):
            counts = frequencies(drawn, modality)
            assert counts[OPERATIONS.index("invert")] == 0
            assert stats.chisquare(counts[: len(GEOMETRIC) + len(PHOTOMETRIC)]).pvalue > FEW
        first, second = drawn.codes
        geometric = first < len(GEOMETRIC)
        assert (geometric == (second < len(GEOMETRIC))).all()
        assert (first == second)[geometric].all()
        own = np.histogram2d(first[~geometric], second[~geometric], bins=9)[0]
        assert stats.chi2_contingency(own).pvalue > FEW
        assert (drawn.strengths[0] == drawn.strengths[1])[geometric].all()
        assert abs((drawn.strengths[0][geometric] < 0).mean() - 0.5) < 0.03


def test_autoaugment_draws_the_steps_of_its_table_as_often_as_that_says():
    changes = create("strong").draw(MANY, 2, square=True)
    for place, drawn in enumerate(changes.operations):
        wanted = np.zeros(len(OPERATIONS))
        for pair in IMAGENET_POLICY:
            name, probability, _ = pair[place]
            wanted[OPERATIONS.index(name)] += probability / len(IMAGENET_POLICY)
        wanted[OPERATIONS.index("identity")] += 1 - wanted.sum()
        for modality in (0, 1):
            counts = frequencies(drawn, modality)
            assert (counts[wanted == 0] == 0).all()
            happens = wanted > 0
            assert stats.chisquare(counts[happens], wanted[happens] * len(MANY)).pvalue > FEW
        geometric = (drawn.codes < len(GEOMETRIC)).any(axis=0)
        assert (drawn.codes[0] == drawn.codes[1])[geometric].all()
        assert (drawn.strengths[0] == drawn.strengths[1])[geometric].all()
        # Photometry of a sub-policy: each modality has its own say whether it happens.
        assert (drawn.codes[0] != drawn.codes[1]).mean() > 0.1


@pytest.mark.parametrize(
    ("name", "square", "wanted"),
    [
        ("flips", True, ALL_SYMMETRIES),
        ("flips", False, KEEPING_SHAPE),
        ("strong", True, KEEPING_SHAPE),
        ("strong", False, KEEPING_SHAPE),
    ],
)
def test_each_symmetry_is_as_likely_as_the_others(name, square, wanted):
    elements = create(name).draw(MANY, 1, square=square).elements
    counts = np.bincount(elements, minlength=8)
    assert (counts > 0).nonzero()[0].tolist() == list(wanted)
    assert stats.chisquare(counts[counts > 0]).pvalue > FEW


def test_holes_lie_anywhere_and_have_any_colour():
    holes = create("flips", cutout=0.3).draw(MANY, 2, square=True).holes
    assert holes.share == 0.3
    for column in holes.centres.T:
        assert stats.kstest(column, "uniform").pvalue > FEW
    for column in holes.colours.T:
        assert stats.chisquare(np.bincount(column, minlength=256)).pvalue > FEW
    assert create("flips").draw(MANY[:5], 2, square=True).holes is None
