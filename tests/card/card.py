"""A pretended CUDA card: torch's CUDA host code over `card.c`, its numbers computed on the CPU.

Not covered: cuDNN, cuSOLVER, NCCL, Triton, speed, and the true peak of memory.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

LIBRARY = "libcuda.so.1"  # also the name that torch loads the driver by
# The libraries of torch that call CUDA.
CALLERS = ("libtorch_cuda.so", "libc10_cuda.so", "libcaffe2_nvrtc.so", "libtorch_python.so")
# Operations that compute nothing, or whose host code does all of it.
NO_KERNEL = {
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "record_stream",
    "resize_",
    "set_",
    "is_pinned",
    "_pin_memory",
    "_local_scalar_dense",
}
# Operations whose results have the size that the numbers say: the host waits for these.
SIZED = {
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_consecutive",
    "unique_dim",
    "bincount",
    "equal",  # a bool
}
# Operations that look up the places of a mask.
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put"}
# Operations of libraries that this card lacks: computed on the host, which waits too.
HOSTED = ("linalg_pinv", "linalg_inv", "linalg_solve", "_linalg_", "cholesky")


def missing() -> str | None:
    """What this machine lacks to build a card, or None."""
    for program in ("gcc", "nm"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if not (_torch_libraries() / CALLERS[0]).exists():
        return "torch is built without CUDA"
    return None if _headers().exists() else "the CUDA headers of triton are not installed"


def build(folder: Path) -> Path:
    """Compile the library of the card into ``folder``."""
    library = folder / LIBRARY
    compiler = ["gcc", "-shared", "-fPIC", "-O1", "-w", f"-I{_headers()}", f"-Wl,-soname,{LIBRARY}"]
    source = Path(__file__).with_name("card.c")
    subprocess.run([*compiler, "-o", library, source, "-lpthread"], check=True)
    callers = [_torch_libraries() / name for name in CALLERS]
    wanted = set().union(*(_symbols(caller, "--undefined-only") for caller in callers))
    names = sorted(
        name
        for name in wanted - _symbols(library, "--defined-only")
        if name.startswith(("cuda", "cublas", "cu")) and not name.startswith(("cufft", "cusp"))
    )
    rest = folder / "rest.c"
    rest.write_text("\n".join(f"int {name}() {{ return 0; }}" for name in names))
    subprocess.run([*compiler, "-o", library, source, rest, "-lpthread"], check=True)
    return library


def chosen(**settings: object) -> dict[str, str]:
    """Settings of `card.c`, given in lower case, as environment."""
    return {f"CARD_{name.upper()}": str(value) for name, value in settings.items()}


def environment(library: Path, **settings: object) -> dict[str, str]:
    """Environment of a process with cards, with the settings of `chosen`."""
    return {
        **{name: text for name, text in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"},
        "LD_PRELOAD": str(library),
        "LD_LIBRARY_PATH": str(library.parent),
        "OMP_NUM_THREADS": "1",
        **chosen(**settings),
    }


def _torch_libraries() -> Path:
    return Path(torch.__file__).parent / "lib"


def _headers() -> Path:
    return Path(torch.__file__).parent.parent / "triton" / "backends" / "nvidia" / "include"


def _symbols(library: Path, kind: str) -> set[str]:
    shown = subprocess.run(
        ["nm", "-D", kind, library], capture_output=True, text=True, check=True
    ).stdout
    return {line.split()[-1].partition("@")[0] for line in shown.splitlines()}


class Card(TorchDispatchMode):
    """Computes on the CPU, over the same memory, what the kernels of a card would have computed.

    ``operations`` counts what was computed; ``unknown`` what the CPU cannot compute; ``rounded``
    the convolutions that a card with TF32 would have computed in it, in training and in inference.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self.unknown: Counter[str] = Counter()
        self.rounded: Counter[str] = Counter()
        self._library = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self._library.card_settle.argtypes = [ctypes.c_void_p]

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        given = (args, kwargs or {})
        name = function.overloadpacket.__name__
        sized = name in SIZED or (name in INDEXED and _by_mask(args[1]))
        if _on_card(given) and (sized or name.startswith(HOSTED)):
            return self._hosted(function, given)
        out = function(*args, **given[1])
        touched = [*_on_card(given), *_on_card(out)]
        if function.namespace == "c10d":
            return out  # gloo's own threads copy to the host, add there, and copy back
        if not touched or name in NO_KERNEL or _is_view(function, given, out):
            return out
        if _is_transfer(name, given, out):
            return out
        self.operations += 1
        if name.startswith("conv") and _rounds(args[0]):  # conv2d in inference, whole
            self.rounded["inference" if torch.is_inference_mode_enabled() else "training"] += 1
        with torch.cuda.device(touched[0].device):
            self._library.card_settle(torch.cuda.current_stream().cuda_stream)
        results = tree_map(_host, out)
        with _disable_current_modes():
            _store(results, self._computed(function, given))
        return out

    def _computed(self, function: Any, given: Any) -> Any:
        args, kwargs = tree_map(_host, given)
        for name in ("pin_memory", "non_blocking", "generator"):
            kwargs.pop(name, None)
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        if function.overloadpacket.__name__ == "log_sigmoid_backward":
            args = (*args[:2], torch.ops.aten.log_sigmoid_forward(args[1])[1])  # a card keeps none
        try:
            return function(*args, **kwargs)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            self.unknown[f"{function}: {str(error).splitlines()[0]}"] += 1
            return None

    def _hosted(self, function: Any, given: Any) -> Any:
        card = _on_card(given)[0]
        card.reshape(-1)[:1].cpu()  # waits, or is refused, as the operation is
        with _disable_current_modes():
            found = self._computed(function, given)

        def placed(host: object) -> object:
            if not isinstance(host, Tensor):
                return host
            if host.data_ptr() == card.data_ptr():
                return card  # written in place
            made = torch.empty_like(host, device=card.device)
            _store(_host(made), host)
            return made

        return tree_map(placed, found)


def _on_card(values: object) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor) and value.is_cuda]


def _host(value: object) -> object:
    """A CPU tensor over the memory of a CUDA tensor; other values as they are."""
    if isinstance(value, torch.device):
        return torch.device("cpu")
    if not (isinstance(value, Tensor) and value.is_cuda):
        return value
    storage = value.untyped_storage()
    if not storage.nbytes():
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
    memory = (ctypes.c_char * storage.nbytes()).from_address(storage.data_ptr())
    host = torch.frombuffer(memory, dtype=torch.uint8).untyped_storage()
    empty = torch.empty(0, dtype=value.dtype)
    return empty.set_(host, value.storage_offset(), value.shape, value.stride())


def _store(places: object, results: object) -> None:
    for place, result in zip(tree_leaves(places), tree_leaves(results), strict=False):
        if not (isinstance(place, Tensor) and isinstance(result, Tensor)):
            continue
        # What one of both does not keep for the backward pass is empty, and nothing reads it.
        if place.numel() and result.numel() and place.data_ptr() != result.data_ptr():
            place.copy_(result)


def _rounds(images: Tensor) -> bool:
    return torch.backends.cudnn.allow_tf32 and images.dtype is torch.float32


def _by_mask(indices: Any) -> bool:
    return any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in indices)


def _is_view(function: Any, given: object, out: object) -> bool:
    """Whether the result is a view of an argument, and nothing is written."""
    returns = function._schema.returns
    if not returns or any(one.alias_info is None or one.alias_info.is_write for one in returns):
        return False
    storages = {one.untyped_storage().data_ptr() for one in _on_card(given)}
    return any(one.untyped_storage().data_ptr() in storages for one in _on_card(out))


def _is_transfer(name: str, given: Any, out: object) -> bool:
    """Whether the bytes of a tensor go to another device as they are, by a copy of `card.c`."""
    args, _ = given
    if name == "copy_":
        to, source = args[:2]
    elif name == "_to_copy":
        to, source = out, args[0]
    else:
        return False
    return (
        to.device != source.device
        and to.dtype == source.dtype
        and to.shape == source.shape
        and to.stride() == source.stride()
        and to.untyped_storage().nbytes() >= 0
        and _is_dense(to)
    )


def _is_dense(tensor: Tensor) -> bool:
    return torch.ops.aten.is_non_overlapping_and_dense(tensor)


def install() -> Card:
    """Enter the mode for the rest of the process, without operations that the CPU does not know."""
    torch.backends.cudnn.enabled = False
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)
    card = Card()
    card.__enter__()
    return card
