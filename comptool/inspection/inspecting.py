"""``comptool inspect``: from tables and images to findings, and their report."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition import findings
from comptool.competition.config import Competition, load
from comptool.competition.findings import KINDS, TEST, TRAIN
from comptool.competition.sample_summary import described, spellings
from comptool.competition.samples import Samples, read_samples, test_samples, training_samples
from comptool.data.image_io import FULL_DEPTH, depth_of
from comptool.errors import InputError, UsageError, quoted
from comptool.inspection.duplicates import image_findings
from comptool.inspection.image_scan import MISSING, Images, look_at_all
from comptool.inspection.label_rules import label_findings
from comptool.inspection.shift import Shift, check_tables, find_shift
from comptool.io import provenance
from comptool.io.atomic import together
from comptool.io.tables import write_table
from comptool.options import SHIFT
from comptool.splits.splitting import samples_to_split
from comptool.splits.stratified import torn_groups
from comptool.tasks.labels import PRESENT, UNKNOWN, class_counts, positive_counts


def label_conflicts(links: pd.DataFrame, samples: Samples) -> pd.DataFrame:
    """Copies with different labels; both are findings, since either label may be wrong.

    A cell that is not annotated contradicts nothing.
    """
    labels = _labels(samples)
    pairs = links[_contradict(links, samples)] if samples.labels else _apart(links, labels)
    turned = pairs.assign(id=pairs["other_id"], other_id=pairs["id"])
    both = pd.concat([pairs, turned], ignore_index=True)
    values = [f"{labels[one]} / {labels[other]}" for one, other in _both(both)]
    return findings.made(
        findings.LABEL_CONFLICT,
        TRAIN,
        both["id"],
        column=samples.label or "",
        other_table=TRAIN,
        other_id=both["other_id"].to_numpy(),
        value=values,
        score=both["score"].to_numpy(),
    )


def _both(links: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(links["id"], links["other_id"], strict=True))


def _apart(links: pd.DataFrame, sides: Mapping[str, str]) -> pd.DataFrame:
    return links[np.array([sides[one] != sides[other] for one, other in _both(links)], np.bool_)]


def _contradict(links: pd.DataFrame, samples: Samples) -> npt.NDArray[np.bool_]:
    """Whether a class is present in one image of a pair and absent in the other."""
    matrix, ids = samples.label_matrix(), pd.Index(samples.frame[samples.id])
    one, other = (matrix[ids.get_indexer(pd.Index(links[name]))] for name in ("id", "other_id"))
    known = (one != UNKNOWN) & (other != UNKNOWN)
    contradict: npt.NDArray[np.bool_] = (known & (one != other)).any(axis=1)
    return contradict


def _labels(samples: Samples) -> dict[str, str]:
    ids = samples.frame[samples.id]
    if samples.numbers:
        rows = samples.number_matrix().tolist()
        return {name: " ".join(map(str, row)) for name, row in zip(ids, rows, strict=True)}
    if not samples.labels:
        return dict(zip(ids, samples.frame[samples.label], strict=True))
    names = np.array(samples.labels, dtype=object)
    rows = samples.label_matrix() == PRESENT
    return {name: ", ".join(names[row]) for name, row in zip(ids, rows, strict=True)}


def crossings(
    kind: str, links: pd.DataFrame, sides: Mapping[str, str], column: str
) -> pd.DataFrame:
    """Copies on different sides (``sides``: fold or group by id) of the border ``column``."""
    pairs = links[links["id"].isin(sides) & links["other_id"].isin(sides)]
    pairs = _apart(pairs, sides)
    return findings.made(
        kind,
        TRAIN,
        pairs["id"],
        column=column,
        other_table=TRAIN,
        other_id=pairs["other_id"].to_numpy(),
        other_column=column,
        value=[f"{sides[one]} / {sides[other]}" for one, other in _both(pairs)],
        score=pairs["score"].to_numpy(),
    )


def torn(folds: Samples) -> pd.DataFrame:
    """Groups with rows in several folds; the named sample is the first of its group."""
    if folds.group is None:
        return findings.made(findings.TORN_GROUP, TRAIN, [])
    names = torn_groups(folds, folds.frame["fold"].to_numpy(np.int64))
    of_group = folds.frame.groupby(folds.group)
    inside = of_group["fold"].unique()
    values = [f"{name}: folds {', '.join(map(str, sorted(inside[name])))}" for name in names]
    ids = of_group[folds.id].min()[names]
    return findings.made(findings.TORN_GROUP, TRAIN, ids, column=folds.group, value=values)


@dataclass(frozen=True)
class Sources:
    """The inspected tables."""

    competition: Competition
    tables: Mapping[str, Samples]  # ``train`` before ``test``
    problems: tuple[str, ...] = ()  # why a table could not be read
    folds: Samples | None = None  # training samples with a column ``fold``
    table: Path | None = None  # labelled table instead of the competition's

    def files(self) -> list[Path]:
        """The files read, without images."""
        read = [samples.source for samples in self.tables.values()]
        return read if self.folds is None else [*read, self.folds.source]


@dataclass(frozen=True)
class Inspection:
    """Result of an inspection."""

    sources: Sources
    images: Images | None  # None: the tables have no images
    # `comptool.competition.findings.COLUMNS`, by kind and sample
    found: pd.DataFrame = field(repr=False)
    shift: Shift | None = None  # None: not asked for

    @property
    def counts(self) -> dict[str, int]:
        """Number of findings of each kind."""
        numbers = self.found["kind"].value_counts()
        return {kind: int(numbers[kind]) for kind in KINDS if kind in numbers}


def read_sources(
    table: Path | None,
    toml: Path | None,
    folds: Path | None,
    usual_folds: Path,
    reader: str | None = None,
    *,
    shift: bool = False,
) -> Sources:
    """The tables of a competition, or one labelled table.

    ``folds`` is a folds table of the training samples; by default ``usual_folds``, if it matches
    them. With ``shift`` training and test table have to be there.
    """
    competition, tables, problems = _tables(table, toml, reader)
    if shift:
        check_tables(tables)
    train, found = tables.get(TRAIN), None
    if folds is not None:
        found = _folds(folds, competition, train)
    elif train is not None and usual_folds.is_file():
        try:
            found = _folds(usual_folds, competition, train)
        except InputError as error:
            problems.append(f"not inspected: {error}")
    return Sources(competition, tables, tuple(problems), found, table)


def _tables(
    table: Path | None, toml: Path | None, reader: str | None
) -> tuple[Competition, dict[str, Samples], list[str]]:
    if table is not None:
        competition, samples = samples_to_split(table, toml)
        return competition, {TRAIN: replace(samples, reader=reader or samples.reader)}, []
    competition = load(toml, reader=reader)
    readers: dict[str, Callable[[Competition], Samples]] = {}
    if competition.train is not None:
        readers[TRAIN] = training_samples
    if competition.test is not None or competition.sample_submission is not None:
        readers[TEST] = test_samples
    tables, errors = {}, []
    for name, read in readers.items():
        try:
            tables[name] = read(competition)
        except InputError as error:
            errors.append(error)
    if not tables:
        raise errors[0]
    return competition, tables, [f"not inspected: {error}" for error in errors]


def _folds(path: Path, competition: Competition, train: Samples | None) -> Samples:
    folds = read_samples(path, competition, labelled=False)
    if "fold" not in folds.frame:
        what = "no column is called 'fold'"
        raise InputError(what, file=path, mend="Make a folds table with 'comptool split'")
    known = set() if train is None else set(train.frame[train.id])
    others = folds.frame[folds.id][~folds.frame[folds.id].isin(known)].tolist()
    if others:
        what = f"{len(others)} of its samples are not in the training data"
        raise InputError(what, file=path, column=folds.id, values=others)
    return folds


def inspect(
    sources: Sources,
    *,
    similarity: float,
    workers: int | None,
    quiet: bool,
    shift: bool = False,
    seed: int = 0,
) -> Inspection:
    """Inspect the images, labels and folds of tables; with ``shift``, compare train and test.

    Raises what `comptool.inspection.shift.find_shift` does.
    """
    found: list[pd.DataFrame] = []
    train = sources.tables.get(TRAIN)
    if train is not None and train.labels:
        found += label_findings(train)
    with_images = {name: one for name, one in sources.tables.items() if one.paths}
    images = look_at_all(with_images, workers, quiet) if with_images else None
    if images is not None:
        found += image_findings(images, similarity)
    if train is not None:
        found += _leaks(findings.links(_together(found)), train, sources.folds)
    compared = None
    if shift:
        compared = find_shift(sources.tables, images, seed)
    return Inspection(sources, images, _in_order(_together(found)), compared)


def _together(found: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([findings.made(findings.MISSING, TRAIN, []), *found], ignore_index=True)


def _leaks(links: pd.DataFrame, train: Samples, folds: Samples | None) -> list[pd.DataFrame]:
    found = [label_conflicts(links, train)]
    if folds is not None:
        sides = _by_id(folds, folds.frame["fold"].astype(str))
        found += [crossings(findings.FOLD_LEAK, links, sides, "fold"), torn(folds)]
    if train.group is not None:
        sides = _by_id(train, train.frame[train.group])
        found.append(crossings(findings.GROUP_LEAK, links, sides, train.group))
    return found


def _by_id(samples: Samples, values: pd.Series[str]) -> dict[str, str]:
    return dict(zip(samples.frame[samples.id], values, strict=True))


def _in_order(found: pd.DataFrame) -> pd.DataFrame:
    """The findings by kind, then by sample, independent of the order of rows."""
    rank = {kind: place for place, kind in enumerate(KINDS)}
    order = np.lexsort(
        (
            found["other_id"],
            found["column"],
            found["id"],
            found["table"] != TRAIN,
            found["kind"].map(rank).astype(int),
        )
    )
    return found.iloc[order].reset_index(drop=True)


def write_findings(
    path: Path, done: Inspection, arguments: Mapping[str, object], *, force: bool
) -> None:
    """Write ``findings.csv``, with ``--shift`` also ``shift.csv``, and their records."""
    inputs = provenance.hashes(done.sources.files())
    tables = {path: done.found}
    if done.shift is not None:
        tables[shift_file(path)] = done.shift.table
    with together():
        for one, table in tables.items():
            write_table(one, table, force=force)
            provenance.record(one, command="inspect", arguments=arguments, inputs=inputs)


def shift_file(output: Path) -> Path:
    """The table of a shift, beside the findings; a UsageError if they have its name."""
    if output.name == SHIFT.name:
        raise UsageError(f"--output is '{output}', where --shift writes; give the findings another")
    return output.with_name(SHIFT.name)


def advice(output: Path, done: Inspection, folds: Path) -> list[str]:
    """The next command, with an explanation of each part, and other advice on the findings."""
    found, train = done.found, done.sources.tables.get(TRAIN)
    count = Counter(findings.of_training(found, KINDS)["kind"])
    linked = len(findings.links(found))
    if done.sources.folds is not None and findings.FOLD_LEAK not in count:
        linked = 0  # already in one fold
    command = ["comptool", "split", *_table(done), "--findings", output]
    parts = [f"copies stay in one fold (pairs: {linked})"] if linked else []
    for option, kind, why in _options(train, count) if train else []:
        command += [option, kind]
        parts.append(f"{option} {kind}: {why}")
    if folds.exists():
        command.append("--force")
    lines = [shlex.join(map(str, command)), *(f"  {part}" for part in parts)] if parts else []
    if done.shift is not None and done.shift.found:
        file = shift_file(output)
        lines.append(shlex.join(["comptool", "split", "--like-test", str(file)]))
        lines.append("  validates rows that look like the test set")
    return [*lines, *_other_advice(found, count)]


def _table(done: Inspection) -> list[Path]:
    """The table to split, unless it is the competition's."""
    table = done.sources.table
    # A folds table was itself made by split.
    return [] if table is None or "fold" in done.sources.tables[TRAIN].frame else [table]


def _options(train: Samples, count: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """Options of ``split`` for the kinds found, and their effect."""
    exclude = {
        findings.MISSING: "training refuses them",
        findings.UNREADABLE: "training refuses them",
        findings.LABEL_CONFLICT: "one of two copies has a wrong label",
    }
    if len(train.paths) == 1:
        exclude[findings.CONSTANT] = "they show nothing"
    # A run of many labels can be masked, which keeps the rest of the row.
    if findings.LABEL_RUN not in count:
        exclude[findings.LABEL_COUNT] = "implausibly many labels"
    # A list has no cell that could be unknown.
    mask = findings.MASKABLE if train.label is None else ()
    options = [
        *(("--exclude", kind, f"{exclude[kind]} ({count[kind]})") for kind in exclude),
        *(
            ("--mask", kind, f"the doubtful cells are not annotated (rows: {count[kind]})")
            for kind in mask
        ),
    ]
    return [option for option in options if option[1] in count]


def _other_advice(found: pd.DataFrame, count: Mapping[str, int]) -> list[str]:
    lines: list[str] = []
    lost = found["column"][found["kind"] == findings.LOST_LABEL].tolist()
    if lost:
        lines.append(
            f"{quoted(lost)}: rows that should have this label have lost it; look for a "
            "corrected table"
        )
    broken = found["kind"].isin([findings.MISSING, findings.UNREADABLE])
    files = int((broken & (found["table"] == TEST)).sum())
    if files:
        lines.append(f"test images to download again: {files}")
    copies = findings.copies(found)
    known = (copies["table"] == TEST) & (copies["other_table"] == TRAIN)
    names = copies["id"][known].unique().tolist()
    if names:
        lines.append(f"test samples with an image of a training sample: {quoted(names)}")
    if findings.TORN_GROUP in count:
        lines.append("comptool split --force keeps groups whole")
    return lines


MOST_CLASSES, MOST_FORMS = 20, 4


def summary(output: Path, done: Inspection, folds: Path) -> dict[str, object]:
    """The inspection as JSON values."""
    return {
        "output": str(output),
        "tables": {
            name: {
                "source": str(samples.source),
                "rows": len(samples),
                "classes": _class_counts(samples),
                "images": _images(done, name),
            }
            for name, samples in done.sources.tables.items()
        },
        "problems": list(done.sources.problems),
        "findings": done.counts,
        **({} if done.shift is None else {"shift": done.shift.document()}),
        "next": advice(output, done, folds),
    }


def text(output: Path, done: Inspection, folds: Path) -> str:
    """The inspection as text."""
    lines = []
    for name, samples in done.sources.tables.items():
        role = "training" if name == TRAIN else name
        lines.append(described(role, samples))
        lines += spellings(samples)
        lines += _class_lines(samples)
        lines += [_image_line(column, one) for column, one in _images(done, name).items()]
    if done.sources.folds is not None:
        lines.append(f"folds: {done.sources.folds.source}")
    lines += done.sources.problems
    lines += ["", *_finding_lines(done)]
    if done.shift is not None:
        lines += ["", done.shift.text()]
    steps = advice(output, done, folds)
    return "\n".join([*lines, "", "next", *(f"  {step}" for step in steps)] if steps else lines)


def _class_counts(samples: Samples) -> dict[str, int]:
    if samples.labels:
        return positive_counts(samples.label_matrix(), samples.labels)
    of_classes = samples.label is not None and not samples.numbers
    return class_counts(samples.frame[samples.label]) if of_classes else {}


def _class_lines(samples: Samples) -> list[str]:
    counts = pd.Series(_class_counts(samples), dtype=int)
    if counts.empty:
        return []
    counts = counts.sort_values(ascending=False, kind="stable")
    shares = [f"{count / len(samples):.1%}" for count in counts]
    table = pd.DataFrame({"rows": counts, "share": shares})
    lines = ["  " + line for line in table.to_string().splitlines()]
    if len(counts) <= MOST_CLASSES:
        return lines
    half = MOST_CLASSES // 2
    return [*lines[: half + 1], f"  ... {len(counts) - MOST_CLASSES} more", *lines[-half:]]


def _images(done: Inspection, table: str) -> dict[str, dict[str, object]]:
    """Number, sizes and modes of the images of each modality, by column."""
    if done.images is None:
        return {}
    frame = done.images.frame[done.images.frame["table"] == table]
    counts = {}
    for column, images in frame.groupby("column"):
        readable = images[images["problem"] == ""]
        counts[str(column)] = {
            "images": len(images),
            "missing": int((images["problem"] == MISSING).sum()),
            "unreadable": int((~images["problem"].isin(["", MISSING])).sum()),
            "constant": int((images["constant"] != "").sum()),
            "sizes": readable["size"].value_counts().to_dict(),
            "modes": readable["mode"].value_counts().to_dict(),
            "brightest": int(readable["brightest"].max()) if len(readable) else None,
        }
    return counts


def _image_line(column: str, counts: dict[str, object]) -> str:
    sizes, modes, brightest = counts["sizes"], counts["modes"], counts["brightest"]
    assert isinstance(sizes, dict) and isinstance(modes, dict)
    parts = [f"{counts['images']} images", _forms(sizes), _forms(modes)]
    if any(f"{FULL_DEPTH} bits" in mode for mode in modes) and isinstance(brightest, int):
        parts.append(f"values up to {brightest} ({depth_of(brightest)} bits)")
    return f"  {column}: " + "; ".join(part for part in parts if part)


def _forms(counts: dict[str, int]) -> str:
    if len(counts) < 2:
        return next(iter(counts), "")
    named = [f"{form} ({count})" for form, count in list(counts.items())[:MOST_FORMS]]
    rest = len(counts) - MOST_FORMS
    return ", ".join(named) + (f" and {rest} more" if rest > 0 else "")


def _finding_lines(done: Inspection) -> list[str]:
    if done.found.empty:
        return ["no findings"]
    width = max(map(len, done.counts))
    lines = [f"findings: {len(done.found)}"]
    for kind, count in done.counts.items():
        of_kind = done.found[done.found["kind"] == kind]
        lines.append(f"  {kind:<{width}}  {count:>6}  {KINDS[kind]}: {quoted(_named(of_kind))}")
    return lines


def _named(of_kind: pd.DataFrame) -> list[str]:
    """Each finding in a few words: one or two samples, or the columns shared by several rows."""
    if of_kind["kind"].iloc[0] in findings.MASKABLE:
        cells = Counter(zip(of_kind["column"], of_kind["other_column"], strict=True))
        spans = [(first if first == last else f"{first} to {last}") for first, last in cells]
        most = sorted(zip(spans, cells.values(), strict=True), key=lambda one: -one[1])
        return [f"{span} ({count})" for span, count in most]
    one, other = _samples(of_kind, ""), _samples(of_kind, "other_")
    return [f"{here} = {there}" if there else here for here, there in zip(one, other, strict=True)]


def _samples(of_kind: pd.DataFrame, which: str) -> list[str]:
    """The ids, with their tables if there are several; the column for findings without id."""
    several = len({*of_kind["table"], *of_kind["other_table"]} - {""}) > 1
    names = zip(of_kind[f"{which}table"], of_kind[f"{which}id"], of_kind["column"], strict=True)
    return [
        f"{table} {name}" if several and name else name or ("" if which else column)
        for table, name, column in names
    ]
