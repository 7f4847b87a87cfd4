"""ONNX Runtime in the place of torch: the same numbers, a graph that is kept, and a way back."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from comptool import models
from comptool.errors import UsageError
from comptool.inference import onnx_backend
from comptool.inference.config import Computing, InferConfig
from comptool.inference.plan import plan_prediction
from comptool.inference.predict import predict
from comptool.inference.tta.policies import GROUPS, PLAIN, Scheme
from comptool.io.provenance import meta_path, recall
from comptool.io.records import ModelRecord
from comptool.io.runs import BEST
from comptool.models import onnx_export
from comptool.models.checkpoint_file import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.usefixtures("unsealed")

ONNX = Computing(device="cpu", workers=0, quiet=True, backend="onnx")
TORCH = replace(ONNX, backend="torch")
AUTO = replace(ONNX, backend="auto")


def predicted(computing, scheme=PLAIN, runs=("one",)):
    plan = plan_prediction(InferConfig(runs=runs, output=Path("preds.csv")))
    (table,), sentences = predict(plan.members, plan.samples, [scheme], computing)
    return table, sentences


@pytest.fixture
def exports(monkeypatch) -> list[Path]:
    """The runs that are exported, one entry each time."""
    made: list[Path] = []
    whole = onnx_export.export_checkpoint

    def counted(run, sizes):
        made.append(run)
        return whole(run, sizes)

    monkeypatch.setattr(onnx_export, "export_checkpoint", counted)
    return made


def with_model(run: Path, name: str) -> None:
    options = {"hidden_dim": 64} if "+q2l" in name else {}
    known = load_checkpoint(run)[1]
    described = replace(known, model=ModelRecord(name, options))
    save_checkpoint(run / BEST, models.create(name, 3, **options), described, force=True)


@pytest.mark.parametrize(
    "name",
    [
        "shake-shake-26-2x32d-dual",
        "eurosat-bmta-dual",
        "test_convnext-dual",
        "test_vit-dual",  # made for 160 pixels: position embeddings are resized
        "test_vit4-dual",  # RMSNorm
        "test_resnet-dual+q2l",
        "test_resnet-dual+q2l-full",
        "test_resnet-dual+ml-decoder",
        "test_resnet-dual+cosine",
    ],
)
def test_probabilities_are_those_of_torch(pairs, name):
    run = pairs("one", size=32)
    with_model(run, name)
    given, sentences = predicted(ONNX)
    np.testing.assert_allclose(given, predicted(TORCH)[0], atol=1e-4)
    assert sentences == []
    assert recall(run / "best.onnx").facts["difference"] <= 1e-4


def test_networks_of_one_channel_and_several_labels_give_what_torch_gives(pairs):
    run = pairs("one")
    one = {"channels": 1, "mean": [0.4], "std": [0.2]}
    header = {key: dict.fromkeys(("sar", "eo"), value) for key, value in one.items()}
    known = load_checkpoint(run)[1]
    network = models.create("test_efficientnet-dual", 3, in_chans=[1, 1])
    save_checkpoint(run / BEST, network, replace(known, **header, task="multilabel"), force=True)
    Path("comptool.toml").write_text(
        Path("comptool.toml").read_text().replace("multiclass", "multilabel")
    )
    given = predicted(ONNX)[0]
    np.testing.assert_allclose(given, predicted(TORCH)[0], atol=1e-4)
    assert np.abs(given.sum(axis=1) - 1).min() > 1e-3


def test_views_of_another_size_have_a_graph_of_their_own(pairs, exports):
    run = pairs("one", img_size={"sar": [32, 32], "eo": [16, 24]})
    scheme = Scheme((*GROUPS["multiscale"], *GROUPS["5crop"], "rotate-180"), "gmean")
    np.testing.assert_allclose(predicted(ONNX, scheme)[0], predicted(TORCH, scheme)[0], atol=1e-4)
    names = {"best.onnx", "best-24x24-12x18.onnx", "best-40x40-20x30.onnx"}
    assert {path.name for path in run.glob("*.onnx")} == names
    assert len(exports) == 3
    turned = Scheme(("identity", "transpose"), "mean")
    np.testing.assert_allclose(predicted(ONNX, turned)[0], predicted(TORCH, turned)[0], atol=1e-4)
    assert (run / "best-32x32-24x16.onnx").exists()


def test_a_graph_is_made_once_and_again_only_for_another_checkpoint(pairs, exports):
    run = pairs("one")
    first = predicted(ONNX)[0]
    np.testing.assert_array_equal(predicted(AUTO)[0], first)
    assert len(exports) == 1
    os.utime(run / BEST)
    predicted(ONNX)
    assert len(exports) == 1
    network, header = load_checkpoint(run)
    network.classifier.weight.data *= -1
    save_checkpoint(run / BEST, network, header, force=True)
    other = predicted(ONNX)[0]
    assert len(exports) == 2
    np.testing.assert_allclose(other, predicted(TORCH)[0], atol=1e-4)
    assert np.abs(other - first).max() > 1e-2


def test_a_graph_that_nothing_vouches_for_is_made_anew(pairs, exports):
    run = pairs("one")
    first = predicted(ONNX)[0]
    graph, record = run / "best.onnx", run / "best.onnx.meta.json"

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-40])

    def of_another_format(path: Path) -> None:
        path.write_text(path.read_text().replace('"graph": 1', '"graph": 0'))

    damages = [(Path.unlink, graph), (cut, graph), (Path.unlink, record), (cut, record)]
    for count, (damage, path) in enumerate([*damages, (of_another_format, record)], start=2):
        damage(path)
        np.testing.assert_array_equal(predicted(ONNX)[0], first)
        assert len(exports) == count


def vouched(path: Path, graph: bytes) -> None:
    """Put a graph in the place of the kept one, with a record that fits."""
    known = json.loads(meta_path(path).read_text())
    known["facts"]["sha256"] = hashlib.sha256(graph).hexdigest()
    path.write_bytes(graph)
    for key in ("sha256", "digest"):
        if key in known:
            known[key] = known["facts"]["sha256"]
    meta_path(path).write_text(json.dumps(known))


@pytest.mark.parametrize("what", ["outside", "damaged", "input", "output", "names"])
def test_a_graph_that_contradicts_its_run_is_made_anew(pairs, exports, monkeypatch, what):
    onnx = pytest.importorskip("onnx")
    run = pairs("one")
    wanted, _ = predicted(ONNX)
    graph = onnx.load(run / "best.onnx")
    if what == "outside":
        tensor = max(graph.graph.initializer, key=lambda one: len(one.raw_data))
        onnx.external_data_helper.set_external_data(tensor, "../../secret.bin")
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
    elif what == "input":
        graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 7
    elif what == "output":
        # Of a dimension ONNX Runtime itself believes the layers.
        last = next(node for node in graph.graph.node if "logits" in node.output)
        last.output[0] = graph.graph.output[0].name = "else"
    elif what == "names":
        graph.graph.input[0].name = "else"
        for node in graph.graph.node:
            node.input[:] = ["else" if one == "images0" else one for one in node.input]
    content = graph.SerializeToString()
    vouched(run / "best.onnx", content[: len(content) // 2] if what == "damaged" else content)
    seen: list[bytes] = []
    whole = onnx_backend._session
    monkeypatch.setattr(onnx_backend, "_session", lambda graph: seen.append(graph) or whole(graph))
    again, _ = predicted(ONNX)
    np.testing.assert_array_equal(again, wanted)
    assert len(exports) == 2
    assert not any(b"secret.bin" in graph for graph in seen)
    assert recall(run / "best.onnx") is not None


def test_a_graph_of_one_checkpoint_is_not_taken_for_anothers(pairs):
    """As where a process is killed between the graph and its record."""
    run, other = pairs("one"), pairs("two", seed=1)
    predicted(ONNX)
    wanted = predicted(ONNX, runs=("two",))[0]
    (other / "best.onnx").write_bytes((run / "best.onnx").read_bytes())
    np.testing.assert_array_equal(predicted(ONNX, runs=("two",))[0], wanted)


def test_a_folder_that_cannot_be_written_has_its_graph_made_each_time(pairs, exports):
    run = pairs("one")
    (run / "best.onnx").mkdir()  # for root may write wherever it likes
    for _ in range(2):
        table, sentences = predicted(ONNX)
        np.testing.assert_allclose(table, predicted(TORCH)[0], atol=1e-4)
        assert sentences[0].startswith("the ONNX graph is made again each time: ")
    assert len(exports) == 2


def test_a_network_that_cannot_be_exported_is_computed_by_torch(pairs, capfd):
    with_model(pairs("one", size=64), "csatv2-dual")
    table, (sentence,) = predicted(AUTO)
    np.testing.assert_array_equal(table, predicted(TORCH)[0])
    start, end = "weights/one: the network cannot be exported to ONNX (", "which takes longer"
    assert sentence.startswith(start) and sentence.endswith(f"); torch computes, {end}")
    assert capfd.readouterr() == ("", "")
    with pytest.raises(UsageError, match="cannot be exported to ONNX"):
        predicted(ONNX)


def test_a_graph_that_computes_something_else_is_not_used(pairs, monkeypatch):
    export = onnx_export.export

    def other(model, sizes, channels):
        model.model.classifier.bias.data[0] += 1
        graph = export(model, sizes, channels)
        model.model.classifier.bias.data[0] -= 1
        return graph

    run = pairs("one")
    monkeypatch.setattr(onnx_export, "export", other)
    table, (sentence,) = predicted(AUTO)
    np.testing.assert_array_equal(table, predicted(TORCH)[0])
    assert "gives other predictions than torch (by 0." in sentence
    assert list(run.glob("*.onnx*")) == []


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"device": "cuda"}])
def test_what_onnx_runtime_does_not_do_here_is_refused_or_left_to_torch(options):
    with pytest.raises(UsageError, match="computes on the CPU in full precision"):
        replace(ONNX, **options)
    assert not replace(AUTO, **options).tries_onnx
    assert AUTO.tries_onnx and not TORCH.tries_onnx


def test_with_the_graph_at_hand_no_torch_is_imported(pairs):
    pairs("one")
    predicted(ONNX)
    program = (
        "import sys; from pathlib import Path; "
        "from comptool.inference.plan import plan_prediction; "
        "from comptool.inference.infer import infer; "
        "from comptool.inference.config import Computing, InferConfig; "
        "plan = plan_prediction(InferConfig(runs=('one',), output=Path('preds.csv'))); "
        "infer(plan, Computing(device='cpu', quiet=True), {}); "
        "heavy = {'torch', 'timm', 'albumentations', 'sklearn'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert Path("preds.csv").exists()
