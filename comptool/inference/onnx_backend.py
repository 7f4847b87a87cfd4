"""The ONNX Runtime backend for CPUs: cached graphs, and views of a batch in numpy.

The graph lies next to the checkpoint, as ``best.onnx`` for the image size of the training, with a
record of the SHA-256 of the checkpoint and the graph; a stale or damaged one is exported again.

Our own threads each compute a part of a batch in a single-threaded session: ONNX Runtime's threads
synchronise at every layer, and spin on cores that decode images.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxruntime import InferenceSession, SessionOptions

from comptool import tasks
from comptool.data.image_io import Pixels
from comptool.errors import InputError, OutputError, UsageError
from comptool.inference.backends import Logits, distinct, forms_of
from comptool.inference.plan import TrainedMember
from comptool.inference.tta.policies import D4, seen_box, seen_size
from comptool.io import provenance
from comptool.io.atomic import atomic_output, together
from comptool.io.provenance import GraphFacts
from comptool.io.records import Computed
from comptool.io.runs import BEST
from comptool.lazy_torch import loading_torch
from comptool.machine import compute_threads, threads

Images = npt.NDArray[np.float32]


def see(images: npt.NDArray[Any], view: str) -> Images:
    """A view of images (B, H, W, C), float32 and contiguous."""
    if view in D4:
        turn = D4[view]
        if turn.transposed:
            images = images.swapaxes(1, 2)
        rows, columns = (slice(None, None, -1 if turned else 1) for turned in turn[1:])
        return np.ascontiguousarray(images[:, rows, columns], np.float32)
    height, width = images.shape[1:3]
    top, left, rows_, columns_ = seen_box(view, height, width)
    part = images[:, top : top + rows_, left : left + columns_].astype(np.float32)
    return resized(part, seen_size(view, height, width))


def resized(images: Images, size: tuple[int, int]) -> Images:
    """Resize images (B, h, w, C), bilinear with antialiasing.

    As ``torch.nn.functional.interpolate(mode="bilinear", antialias=True)``, which is Pillow's
    filter: a triangle two pixels of the smaller image wide. OpenCV has no such filter.
    """
    down, across = (
        _triangles(now, wanted) for now, wanted in zip(images.shape[1:3], size, strict=True)
    )
    rows = np.einsum("Hh,bhwc->bHwc", down, images, optimize=True)
    return np.ascontiguousarray(np.einsum("Ww,bhwc->bhWc", across, rows, optimize=True))


@lru_cache
def _triangles(now: int, wanted: int) -> npt.NDArray[np.float32]:
    """Weight of each of ``now`` pixels in each of ``wanted``, (wanted, now)."""
    ratio = now / wanted
    centres = (np.arange(wanted)[:, None] + 0.5) * ratio
    distances = np.abs(np.arange(now)[None, :] + 0.5 - centres) / max(ratio, 1.0)
    weights = np.maximum(0.0, 1.0 - distances)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


# Increased when the inputs or outputs of graphs change.
GRAPH_FORMAT = 1
ERRORS_ONLY = 3
# Samples per thread: their activations fit into the cache of a core.
AT_ONCE = 16
AHEAD = 2  # parts per thread that are begun before an earlier batch is waited for

Sizes = tuple[tuple[int, int], ...]


class NoGraph(UsageError):
    """A network that ONNX Runtime cannot compute as torch does."""


class OnnxNetworks:
    """Networks on the CPU; a view of another size needs its own graph.

    Raises NoGraph if a network cannot be exported, or computes something else when exported.
    """

    def __init__(self, members: Sequence[TrainedMember], views: Sequence[str]) -> None:
        self._forms = [forms_of(member.header) for member in members]
        self.forms = distinct(self._forms)
        self.notes: list[str] = []
        self.computed = Computed(
            device="cpu", backend="onnx", precision="float32", fallbacks=self.notes
        )
        self._sessions: list[dict[Sizes, InferenceSession]] = []
        for member, forms in zip(members, self._forms, strict=True):
            seen = dict.fromkeys(
                tuple(seen_size(view, *form.chip.shape[:2]) for form in forms) for view in views
            )
            # Before it is loaded, in case it is replaced meanwhile.
            checkpoint = provenance.hashes([member.folder / BEST])
            self._sessions.append({sizes: self._open(member, checkpoint, sizes) for sizes in seen})

    def each(
        self, batches: Iterable[Sequence[Pixels]], views: Sequence[str]
    ) -> Generator[list[Logits], None, None]:
        """`logits` batch after batch; threads compute parts of a batch, also of later ones."""
        waiting: deque[list[Future[list[Logits]]]] = deque()
        count = compute_threads()
        with threads(count) as pool:
            for images in batches:
                parts = _parts(images)
                waiting.append([pool.submit(self.logits, part, views) for part in parts])
                if sum(map(len, waiting)) > AHEAD * count:
                    yield _joined(waiting.popleft())
            while waiting:
                yield _joined(waiting.popleft())

    def logits(self, images: Sequence[Pixels], views: Sequence[str]) -> list[Logits]:
        """Logits (V, B, K) of V views for each network, from one (B, H, W, C) per form.

        At most ``AT_ONCE`` images: more take the memory of all their intermediate results.
        """
        by_view = []
        for view in views:
            seen = {form: see(one, view) for form, one in zip(self.forms, images, strict=True)}
            by_view.append(
                [
                    _run(sessions, [seen[form] for form in forms])
                    for forms, sessions in zip(self._forms, self._sessions, strict=True)
                ]
            )
        return [np.stack(own) for own in zip(*by_view, strict=True)]

    def room(self, shape: tuple[int, ...], dtype: Any) -> Pixels:
        """Zeros for the images of a batch."""
        return np.zeros(shape, dtype)

    def _open(
        self, member: TrainedMember, checkpoint: Mapping[str, str | None], sizes: Sizes
    ) -> InferenceSession:
        path = _place(member, sizes)
        graph = _kept(path, checkpoint)
        session = None if graph is None else _opened(graph, sizes, member)
        if session is None:
            try:
                # Imported here: a cached graph does not need torch.
                with loading_torch():
                    from comptool.models.onnx_export import export_checkpoint
                graph, difference = export_checkpoint(member.folder, sizes)
            except UsageError as error:
                raise NoGraph(f"{member.folder}: {error}") from error
            assert isinstance(graph, bytes)
            self._keep(path, graph, difference, checkpoint)
            session = _session(graph)
        return session

    def _keep(
        self, path: Path, graph: bytes, difference: float, checkpoint: Mapping[str, str | None]
    ) -> None:
        try:
            with together():
                with atomic_output(path, force=True) as temporary:
                    temporary.write_bytes(graph)
                provenance.record(
                    path,
                    command="infer",
                    arguments={},
                    inputs=checkpoint,
                    facts=GraphFacts(graph=GRAPH_FORMAT, difference=difference),
                )
        except OutputError as error:
            self.notes.append(f"the ONNX graph is made again each time: {error}")


def _parts(images: Sequence[Pixels]) -> Iterator[list[Pixels]]:
    for start in range(0, len(images[0]), AT_ONCE):
        yield [pixels[start : start + AT_ONCE] for pixels in images]


def _joined(parts: Sequence[Future[list[Logits]]]) -> list[Logits]:
    results = [part.result() for part in parts]
    return [np.concatenate(own, axis=1) for own in zip(*results, strict=True)]


def _run(sessions: dict[Sizes, InferenceSession], images: Sequence[Logits]) -> Logits:
    session = sessions[tuple((image.shape[1], image.shape[2]) for image in images)]
    (logits,) = session.run(None, {f"images{n}": image for n, image in enumerate(images)})
    return np.asarray(logits)


def _place(member: TrainedMember, sizes: Sizes) -> Path:
    trained = tuple(form.chip.shape[:2] for form in forms_of(member.header))
    name = Path(BEST).stem
    if sizes != trained:
        name += "".join(f"-{height}x{width}" for height, width in sizes)
    return member.folder / f"{name}.onnx"


def _kept(path: Path, checkpoint: Mapping[str, str | None]) -> bytes | None:
    """The cached graph, if it is intact and matches the checkpoint."""
    try:
        record = provenance.recall(path)
        graph = path.read_bytes()
        known = provenance.facts(path, GraphFacts)
    except (OSError, InputError):
        return None
    if record is None or record.sha256 is None or known.graph != GRAPH_FORMAT:
        return None
    return graph if list(record.inputs.values()) == list(checkpoint.values()) else None


# The key of a tensor that lies in another file, as protobuf writes it. Our graphs have none, and
# ONNX Runtime would read any file that one names.
OUTSIDE = b"\x0a\x08location"


def _session(graph: bytes) -> InferenceSession:
    options = SessionOptions()
    options.intra_op_num_threads = 1  # our own threads compute, each a part of a batch
    options.log_severity_level = ERRORS_ONLY
    return InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _opened(graph: bytes, sizes: Sizes, member: TrainedMember) -> InferenceSession | None:
    """The session of a cached graph; None if it is damaged or computes something else."""
    if OUTSIDE in graph:
        return None
    try:
        session = _session(graph)
    # ONNX Runtime has no common exception type.
    except Exception:
        return None
    header = member.header
    channels = [header.channels[name] for name in header.modalities]
    wanted = [
        (f"images{number}", [*size, count])
        for number, (size, count) in enumerate(zip(sizes, channels, strict=True))
    ]
    taken = [(one.name, one.shape[1:]) for one in session.get_inputs()]
    outputs = tasks.find(header.task).outputs(len(header.classes))
    given = [(one.name, one.shape[1:]) for one in session.get_outputs()]
    return session if taken == wanted and given == [("logits", [outputs])] else None
