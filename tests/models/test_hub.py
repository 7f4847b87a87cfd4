"""Published weights: downloaded, cached, or refused within seconds. The hub is a local server."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save
from torch import hub

from comptool import models
from comptool.errors import UsageError
from comptool.models.pretrained import WeightsUnavailableError, create_from, published_file

NAME = "test_resnet"
SOURCE = "timm/test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(3)
    return timm.create_model(NAME)


def redirect(monkeypatch, tmp_path, endpoint):
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A hub that has the files of ``server.files`` and answers ``server.status`` if that is set."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer()

        def do_GET(self):
            content = self.answer()
            self.wfile.write(content)

        def answer(self):
            # Before the answer is out: the test looks as soon as it has it.
            if not self.path.startswith("/api/"):  # the client's own business
                http.asked.append((self.command, self.path))
            found = [body for end, body in http.files.items() if self.path.endswith(end)]
            content = found[0] if found else b""
            self.send_response(http.status or (200 if found else 404))
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0123456789abcdef0123456789abcdef01234567")
            if not found and not http.status:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            return content

        def log_message(self, *arguments):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.files, http.status, http.asked = {}, None, []
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    redirect(monkeypatch, tmp_path, f"http://127.0.0.1:{http.server_port}")
    yield http
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def no_server(monkeypatch, tmp_path):
    """Nobody listens at the hub's address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    redirect(monkeypatch, tmp_path, f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("policy", ["auto", "yes"])
def test_published_weights_are_downloaded_once_and_then_cached(server, published, policy):
    server.files = {"model.safetensors": save(published.state_dict())}
    said = []
    model, origin = create_from(policy, f"{NAME}-dual", 4, say=said.append)
    assert origin == SOURCE
    assert said == [f"the model starts from the published weights {SOURCE}"]
    for encoder in model.encoders:
        assert torch.equal(encoder.conv1[0].weight, published.conv1[0].weight)
    assert [path for command, path in server.asked if command == "GET"] == [
        f"/{SOURCE}/resolve/main/model.safetensors"
    ]
    server.asked.clear()
    _, again = create_from(policy, NAME, 4, say=said.append)
    assert (again, server.asked) == (SOURCE, [])


def test_a_repository_with_the_old_file_only_is_read(server, published, tmp_path):
    torch.save(published.state_dict(), tmp_path / "old.bin")
    server.files = {"pytorch_model.bin": (tmp_path / "old.bin").read_bytes()}
    model = models.create(NAME, 4, pretrained=True)
    assert torch.equal(model.encoders[0].conv1[0].weight, published.conv1[0].weight)


def test_without_a_network_auto_falls_back_at_once_and_loudly(no_server):
    said = []
    start = time.monotonic()
    model, origin = create_from("auto", f"{NAME}-dual", 4, say=said.append)
    assert time.monotonic() - start < 5
    assert origin == "random"
    assert said[0].startswith(f"WARNING: the published weights {SOURCE} are not available (")
    assert said[0].endswith("The model starts from RANDOM weights.")
    assert model.streams == 2


def test_random_weights_after_a_fall_back_are_those_of_the_seed(no_server):
    torch.manual_seed(2)
    fallen, _ = create_from("auto", NAME, 4, say=lambda text: None)
    torch.manual_seed(2)
    random, _ = create_from("no", NAME, 4, say=lambda text: None)
    for a, b in zip(fallen.parameters(), random.parameters(), strict=True):
        assert torch.equal(a, b)


def test_without_a_network_yes_is_an_error(no_server):
    with pytest.raises(WeightsUnavailableError) as error:
        create_from("yes", NAME, 4, say=lambda text: None)
    assert str(error.value).startswith(f"the published weights {SOURCE} are not available (")
    assert str(error.value).endswith(
        "Give a local file with --pretrained PATH, or start from random weights with "
        "--pretrained no"
    )


def test_a_hub_that_never_answers_is_given_up_within_seconds(monkeypatch, tmp_path):
    monkeypatch.setattr("comptool.models.pretrained.PROBE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        redirect(monkeypatch, tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(WeightsUnavailableError):
            models.create(NAME, 4, pretrained=True)
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_hub_that_refuses_is_not_asked_again(server, status):
    server.status = status
    start = time.monotonic()
    with pytest.raises(WeightsUnavailableError):
        models.create(NAME, 4, pretrained=True)
    assert time.monotonic() - start < 5
    assert len(server.asked) == 1


def test_weights_that_are_on_no_hub_come_from_their_address(server, published, tmp_path):
    torch.save(published.state_dict(), tmp_path / "weights.pth")
    server.files = {"published.pth": (tmp_path / "weights.pth").read_bytes()}
    address = f"http://127.0.0.1:{server.server_port}/published.pth"
    path = published_file("timm/x", None, None, address)
    assert path == hub_folder(tmp_path) / "published.pth"
    assert path.read_bytes() == server.files["published.pth"]
    server.asked.clear()
    assert published_file("timm/x", None, None, address) == path
    assert server.asked == []


def test_a_download_of_another_content_than_its_name_says_is_refused(server, tmp_path):
    server.files = {"net-0123abcd.pth": b"something else"}
    address = f"http://127.0.0.1:{server.server_port}/net-0123abcd.pth"
    with pytest.raises(WeightsUnavailableError, match="invalid hash value"):
        published_file("timm/x", None, None, address)
    assert not (hub_folder(tmp_path) / "net-0123abcd.pth").exists()


def hub_folder(tmp_path):
    assert hub.get_dir() == str(tmp_path / "torch" / "hub")
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_the_hub_is_not_asked_for_a_backbone_without_published_weights(server):
    said = []
    _, origin = create_from("auto", "mobilenetv2_035", 4, say=said.append)
    assert origin == "random"
    assert said == [
        "WARNING: no weights are published for 'mobilenetv2_035'. Give a local file with "
        "--pretrained PATH, or start from random weights with --pretrained no\n"
        "The model starts from RANDOM weights."
    ]
    with pytest.raises(WeightsUnavailableError, match="no weights are published"):
        create_from("yes", "mobilenetv2_035", 4, say=said.append)
    with pytest.raises(WeightsUnavailableError, match="no weights are published"):
        models.create("mobilenetv2_035", 4, pretrained=True)
    assert server.asked == []


def test_a_wrong_name_is_no_reason_to_fall_back(no_server):
    with pytest.raises(UsageError, match="no model is called 'resnt34'"):
        create_from("auto", "resnt34-dual", 4, say=lambda text: None)


def test_an_offline_user_is_believed(monkeypatch, server):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsUnavailableError):
        models.create(NAME, 4, pretrained=True)
    assert server.asked == []
