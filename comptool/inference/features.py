"""The ``features`` command: penultimate features, projected into a plane and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from comptool import tasks
from comptool.competition.classes import named_classes
from comptool.competition.config import Competition, load
from comptool.competition.samples import Samples, read_samples
from comptool.errors import InputError, UsageError
from comptool.inference.config import Computing, FeaturesConfig
from comptool.inference.plan import (
    TrainedMember,
    check_alike,
    check_competition,
    held_out,
    in_model_order,
    read_members,
    with_reader,
)
from comptool.inference.predict import ForwardPass, joined
from comptool.inference.torch_backend import TorchNetworks
from comptool.io import provenance
from comptool.io.atomic import refuse_existing, together
from comptool.io.provenance import FeatureFacts
from comptool.io.records import Computed
from comptool.io.runs import BEST, check_finished, find_run
from comptool.io.tables import write_table
from comptool.reports.plots import Panel, draw_scatter, save_picture, unwritable
from comptool.training.data import label_indices

Indices = npt.NDArray[np.int64]
LEAST = 3  # rows; two are a line


@dataclass(frozen=True)
class Subject:
    """A network and the N rows whose features are drawn."""

    member: TrainedMember  # the network
    samples: Samples  # the rows, ``paths`` in the order in which it takes the modalities
    targets: Indices  # class index of each, shape (N,)


@dataclass(frozen=True)
class FeaturePlan:
    """Plan of `comptool.inference.features.draw_features`."""

    subjects: tuple[Subject, ...]  # one panel each
    classes: tuple[str, ...]  # the K classes, the same for all networks
    highlighted: frozenset[int]  # indices of those that stand out
    output: Path  # the picture; :attr:`table` lies next to it
    force: bool  # whether both may be replaced
    notes: tuple[str, ...]  # on the runs, one sentence each

    @property
    def table(self) -> Path:
        """Path of the table of points."""
        return self.output.with_suffix(".csv")

    @property
    def inputs(self) -> list[Path]:
        """Input files of the picture, except images."""
        files = [(one.samples.source, one.member.folder / BEST) for one in self.subjects]
        return list(dict.fromkeys(path for pair in files for path in pair))

    def __str__(self) -> str:
        lines = [
            f"{one.member.folder}: {len(one.targets)} rows of {one.samples.source}"
            for one in self.subjects
        ]
        return "\n".join([*lines, *(f"warning: {note}" for note in self.notes)])


def make_feature_plan(config: FeaturesConfig) -> FeaturePlan:
    """Find runs and rows, draw some of each class, and check that they belong together.

    Each network of a folded run is a subject. Without a table each network takes its validation
    fold; networks with the same rows draw the same sample, at most ``per_class`` of each class.
    """
    output, force = config.output, config.force
    if output.suffix != ".png":
        raise UsageError(
            f"--output is '{output}'; the picture is a .png, its points a .csv next to it"
        )
    for path in (output, output.with_suffix(".csv")):
        refuse_existing(path, force)
    runs = tuple(dict.fromkeys(find_run(name) for name in config.runs)) or (find_run(),)
    notes = [note for run in runs if (note := check_finished(run))]
    networks = read_members(runs)
    check_alike(
        networks, ("task", "classes"), "they are not drawn side by side", "Draw each by itself"
    )
    header = networks[0].header
    task = tasks.find(header.task)
    if task.cells or task.numbers:
        has = "a number" if task.numbers else "several"
        raise UsageError(f"features are drawn by the class of each row, and here it has {has}")
    classes = tuple(header.classes)
    highlighted = frozenset(named_classes(config.highlight, classes))
    competition, other_readers = with_reader(
        load(config.competition, reader=config.reader), networks
    )
    notes += other_readers
    subjects = []
    for member in networks:
        check_competition(member, competition)
        if config.table is None and member.header.leak:
            notes.append(f"{member.folder} may have been trained on these: {member.header.leak}")
        subjects.append(_subject(member, competition, config))
    if note := unwritable([*classes, *(str(one.member.folder) for one in subjects)]):
        notes.append(note)
    return FeaturePlan(tuple(subjects), classes, highlighted, output, force, tuple(notes))


def _subject(member: TrainedMember, competition: Competition, config: FeaturesConfig) -> Subject:
    if config.table is None:
        samples = held_out(member, competition)
    else:
        given = read_samples(config.table, competition, labelled=True)
        samples = in_model_order(given, member.header)
    targets = label_indices(samples, member.header.classes)
    ids = samples.frame[samples.id].to_numpy(dtype=np.str_)
    places = draw_rows(ids, targets, config.per_class, config.seed)
    if len(places) < LEAST:
        raise InputError(f"a projection needs {LEAST} rows or more", file=samples.source)
    frame = samples.frame.iloc[places].reset_index(drop=True)
    return Subject(member, replace(samples, frame=frame), targets[places])


def draw_rows(
    ids: npt.NDArray[np.str_], targets: Indices, per_class: int, seed: int
) -> npt.NDArray[np.intp]:
    """Indices of rows drawn from each class, in table order."""
    order = np.argsort(ids, kind="stable")
    drawn = []
    for target in np.unique(targets):
        own = order[targets[order] == target]
        rng = np.random.default_rng([seed, int(target)])
        drawn.append(rng.permutation(own)[:per_class])
    return np.sort(np.concatenate(drawn))


PERPLEXITY = 30.0


@dataclass(frozen=True)
class Projection:
    """Projected features, float64 (N, 2), and the explained variance ratios, if any."""

    points: npt.NDArray[np.float64]
    explained: tuple[float, float] | None = None

    def __str__(self) -> str:
        if self.explained is None:
            return "t-SNE"
        first, second = self.explained
        return f"PCA, {first:.0%} and {second:.0%} of the variance"


def project(features: npt.NDArray[np.floating], method: str, seed: int) -> Projection:
    """Project features to two dimensions."""
    if method == "pca":
        analysis = PCA(n_components=2, random_state=seed)
        points = analysis.fit_transform(features)
        first, second = analysis.explained_variance_ratio_.tolist()
        return Projection(np.asarray(points, np.float64), (first, second))
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    embedding = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    return Projection(np.asarray(embedding.fit_transform(features), np.float64))


COLUMNS = ("id", "class", "run", "x", "y")


@dataclass(frozen=True)
class Drawn:
    """A network, the projection of its features, and how they were computed."""

    subject: Subject
    projection: Projection
    computed: Computed

    def document(self) -> dict[str, object]:
        """The facts as JSON values."""
        return {
            "run": str(self.subject.member.folder),
            "rows": len(self.subject.targets),
            "explained": self.projection.explained,
            "computed": asdict(self.computed),
        }


def draw_features(
    plan: FeaturePlan,
    method: str,
    seed: int,
    computing: Computing,
    arguments: Mapping[str, object],
) -> list[Drawn]:
    """Compute, project and draw features of each network; write both files or neither."""
    drawn = []
    for subject in plan.subjects:
        features, computed = penultimate(subject, computing)
        drawn.append(Drawn(subject, project(features, method, seed), computed))
    panels = [
        Panel(
            str(one.subject.member.folder),
            str(one.projection),
            one.projection.points,
            one.subject.targets,
        )
        for one in drawn
    ]
    picture = draw_scatter(panels, plan.classes, plan.highlighted)
    facts = FeatureFacts(classes=list(plan.classes), panels=[one.document() for one in drawn])
    with together():
        save_picture(plan.output, picture, force=plan.force)
        write_table(plan.table, _points(plan, drawn), force=plan.force)
        for path in (plan.output, plan.table):
            provenance.record(
                path, command="features", arguments=arguments, inputs=plan.inputs, facts=facts
            )
    return drawn


def penultimate(subject: Subject, computing: Computing) -> tuple[npt.NDArray[np.float32], Computed]:
    """The input of the classifier for every row, float32 of shape (N, F), and how."""
    member = subject.member
    way = ForwardPass([member], subject.samples, computing, "features")
    networks = TorchNetworks([member], computing)
    (features,) = joined(way.batches(networks.forms, partial(map, networks.features)))
    if not np.ptp(features, axis=0).any():
        raise InputError(
            f"all {len(features)} rows have the same features: nothing has been learnt",
            file=member.folder,
        )
    return features, networks.computed


def _points(plan: FeaturePlan, drawn: list[Drawn]) -> pd.DataFrame:
    parts = []
    for one in drawn:
        samples, targets = one.subject.samples, one.subject.targets
        x, y = (list(map(repr, column)) for column in one.projection.points.T.tolist())
        ids = samples.frame[samples.id].tolist()
        names = [plan.classes[target] for target in targets]
        run = [str(one.subject.member.folder)] * len(ids)
        parts.append(pd.DataFrame(dict(zip(COLUMNS, (ids, names, run, x, y), strict=True))))
    return pd.concat(parts, ignore_index=True)
