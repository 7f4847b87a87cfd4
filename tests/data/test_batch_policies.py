"""What the named policies draw for whole batches, and that it is what they draw for one image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from comptool.data.augment.batches import (
    ALL_SYMMETRIES,
    GEOMETRIC,
    IMAGENET_POLICY,
    KEEPING_SHAPE,
    OPERATIONS,
    PHOTOMETRIC,
    SeededNumbers,
)
from comptool.data.augment.named_policies import BATCH_POLICIES, POLICIES, create
from comptool.data.gpu_dataset import ResidentBatches
from comptool.data.sampler import EpochBatches
from comptool.errors import UsageError

MANY = np.random.default_rng(1).integers(0, 2**62, 20_000)
FEW = 1e-4  # chance of a false alarm


def batched(name, **options):
    return BATCH_POLICIES.load(name)(**options)


def test_both_paths_have_the_same_policies_with_the_same_options():
    assert BATCH_POLICIES.names == POLICIES.names
    for one, other in zip(POLICIES, BATCH_POLICIES, strict=True):
        assert one.options() == other.options()
    with pytest.raises(UsageError, match="--magnitude is 31; it goes from 0 to 30"):
        batched("weak", magnitude=31)


@given(st.lists(st.integers(0, 2**62 - 1), min_size=2, max_size=20), st.data())
def test_what_becomes_of_a_sample_follows_from_its_seed_alone(seeds, data):
    chosen = data.draw(st.lists(st.integers(0, len(seeds) - 1), min_size=1))
    policy = batched(data.draw(st.sampled_from(["flips", "weak", "strong"])), cutout=0.4)
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
    from comptool.data.augment import batches as seeded_numbers

    state = np.zeros(1, np.uint64)
    with np.errstate(over="ignore"):
        drawn = [int(seeded_numbers._mixed(state + n * seeded_numbers._STEP)[0]) for n in (1, 2)]
    assert drawn == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def frequencies(drawn, modality=0):
    return np.bincount(drawn.codes[modality], minlength=len(OPERATIONS))


def test_randaugment_draws_each_of_fourteen_equally_and_photometry_for_each_modality():
    for drawn in batched("weak", num_ops=3).draw(MANY, 2, square=True).operations:
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
    changes = batched("strong").draw(MANY, 2, square=True)
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
    elements = batched(name).draw(MANY, 1, square=square).elements
    counts = np.bincount(elements, minlength=8)
    assert (counts > 0).nonzero()[0].tolist() == list(wanted)
    assert stats.chisquare(counts[counts > 0]).pvalue > FEW


def test_holes_lie_anywhere_and_have_any_colour():
    holes = batched("flips", cutout=0.3).draw(MANY, 2, square=True).holes
    assert holes.share == 0.3
    for column in holes.centres.T:
        assert stats.kstest(column, "uniform").pvalue > FEW
    for column in holes.colours.T:
        assert stats.chisquare(np.bincount(column, minlength=256)).pvalue > FEW
    assert batched("flips").draw(MANY[:5], 2, square=True).holes is None


class Picture:
    """A data set of one pair of pictures, as often as is wanted."""

    def __init__(self, images, count):
        self.images, self.count = images, count
        self.shapes = [image.shape for image in images]
        self.missing = np.zeros((count, len(images)), bool)
        self.targets = None

    def __len__(self):
        return self.count

    def chips(self, modality, rows):
        return np.stack([self.images[modality]] * len(range(self.count)[rows]))


def figures(images):
    """Of images (n, H, W, C): what flips, shifts, holes, colours and contrast all change."""
    values = images.reshape(len(images), -1, images.shape[3]).astype(float)
    height = images.shape[1] // 2
    halves = images[:, :height].mean(axis=(1, 2, 3)) - images[:, height:].mean(axis=(1, 2, 3))
    rough = np.abs(np.diff(images.astype(float), axis=2)).mean(axis=(1, 2, 3))
    colour = values.std(axis=2).mean(axis=1)
    return np.stack(
        [values.mean(axis=(1, 2)), values.std(axis=(1, 2)), halves, halves**2, rough, colour],
        axis=1,
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("flips", {"cutout": 0.4}),
        ("weak", {}),
        ("weak", {"magnitude": 25, "num_ops": 3, "cutout": 0.2}),
        ("strong", {}),
    ],
)
def test_moments_of_many_images_are_those_of_the_other_path(name, options):
    """Two samples of one distribution: means and standard deviations of six figures each."""
    count = 1500
    random = np.random.default_rng(4)
    picture = np.kron(random.integers(20, 220, (4, 4, 3), dtype=np.uint8), np.ones((6, 6, 1), "u1"))
    pair = [picture, np.roll(picture, 5, axis=(0, 1))[:, :, ::-1].copy()]
    data = Picture(pair, count)
    order = EpochBatches(np.zeros(count, int), 500, seed=8)
    batches = ResidentBatches(data, order, batched(name, **options), torch.device("cpu"))
    whole = [
        np.concatenate([batch.images[m].permute(0, 2, 3, 1) for batch in batches]) for m in (0, 1)
    ]
    policy = create(name, **options)
    single = [
        np.stack(images) for images in zip(*(policy(pair, s) for s in range(count)), strict=True)
    ]
    for one, other in zip(whole, single, strict=True):
        first, second = figures(one), figures(other)
        errors = np.sqrt((first.var(axis=0) + second.var(axis=0)) / count)
        assert (np.abs(first.mean(axis=0) - second.mean(axis=0)) < 4.5 * errors).all()
        for here, there in zip(first.T, second.T, strict=True):
            assert stats.ks_2samp(here, there).pvalue > FEW
    # And so are the two modalities to one another.
    together = [
        np.corrcoef(figures(pairs[0]).T, figures(pairs[1]).T)[:6, 6:] for pairs in (whole, single)
    ]
    assert np.abs(together[0] - together[1]).max() < 6 * np.sqrt(2 / count)
