"""A device that is not there: its tensors compute on the CPU and are as strict as those of a GPU.

A `Pretended` tensor says that it lies on `DEVICE` and holds a CPU tensor. Every operation of torch
passes `_run`: it raises where devices mix, as CUDA does, counts what a GPU's processor would have
to wait for, and computes on the CPU, so that results are those of the CPU twin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.accelerators import CPUAccelerator
from lightning.fabric.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

from audioinv.core.bases import Bases

KIND = "pretend"
ANSWERS = ("item", "_local_scalar_dense", "is_nonzero", "equal", "allclose")
SIZES = ("nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount")
INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")
IN_PLACE_SHAPES = ("squeeze_", "unsqueeze_", "t_", "transpose_")


class _Backend(_DummyBackendModule):  # type: ignore[misc]
    """What torch asks of a device's module."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]

    def device_count(self) -> int:
        """None for whoever asks: the other tests of this process have no such device."""
        return 0


_setup_privateuseone_for_python_backend(KIND, backend_module=_Backend())
DEVICE = torch.device(KIND, 0)


class Waits:
    """What the processor waited for, and how many operations it sent.

    Attributes:
        found: operation -> times that its answer had to come back. operations: sent to the device.
    """

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.operations = 0

    def total(self) -> int:
        """How often the processor waited."""
        return self.found.total()


_waits = Waits()


class Pretended(Tensor):
    """A tensor on `DEVICE`; `real` is where its numbers are."""

    real_tensor: Tensor

    @staticmethod
    def __new__(cls, real: Tensor) -> Pretended:
        made: Any = Tensor._make_wrapper_subclass(
            cls,
            real.size(),
            strides=real.stride(),
            storage_offset=real.storage_offset(),
            dtype=real.dtype,
            layout=real.layout,
            device=DEVICE,
        )
        made.real_tensor = real
        return made

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(function, args, kwargs or {})

    def tolist(self) -> Any:
        """As of a GPU's tensor: all numbers come back."""
        _waits.found["tolist"] += 1
        return self.real_tensor.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """As of a GPU's tensor."""
        raise TypeError(f"can't convert {DEVICE} device type tensor to numpy")

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Files hold the numbers."""
        return self.real_tensor.__reduce_ex__(protocol)

    def __repr__(self, **_: Any) -> str:
        return f"Pretended({tuple(self.shape)}, {self.dtype})"


class PretendedBases(Pretended, Bases):
    """Bases stay bases wherever they are."""

    def __new__(cls, real: Tensor) -> PretendedBases:
        return Pretended.__new__(cls, real)  # type: ignore[return-value]


class _Everywhere(TorchDispatchMode):
    """Sees what makes a tensor on the device: copies to it, and `zeros(device=...)`."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(function, args, kwargs or {})


@contextmanager
def pretending() -> Iterator[Waits]:
    """The device is there meanwhile; gives what it counts from here on."""
    global _waits
    before, _waits = _waits, Waits()
    try:
        with _Everywhere():
            yield _waits
    finally:
        _waits = before


def move(module: nn.Module) -> nn.Module:
    """`module.to(DEVICE)`: parameters stay the same objects, as an optimiser that has them needs.

    Gradients and what else hangs on them stay behind.
    """
    for parameter in module.parameters():
        if isinstance(parameter.data, Pretended):
            continue
        kind = PretendedBases if isinstance(parameter, Bases) else Pretended
        made: Any = kind(parameter.detach()).requires_grad_(parameter.requires_grad)
        made.__dict__ |= {**parameter.__dict__, "_is_param": True}
        torch.utils.swap_tensors(parameter, made)
    for part in module.modules():
        for name, buffer in part.named_buffers(recurse=False):
            part._buffers[name] = buffer.to(DEVICE)
    return module


def real(x: Tensor) -> Tensor:
    """The CPU tensor of a pretended one; any other as it is."""
    return x.real_tensor if isinstance(x, Pretended) else x


class _Accelerator(CPUAccelerator):
    def setup_device(self, device: torch.device) -> None:
        """Nothing to do."""


class PretendedStrategy(SingleDeviceStrategy):
    """Fabric's, on the device."""

    def __init__(self) -> None:
        super().__init__(device=DEVICE, accelerator=_Accelerator())

    def module_to_device(self, module: nn.Module) -> None:
        """Moves parameters and buffers."""
        move(module)


def _run(function: Any, args: Any, kwargs: Any) -> Any:
    """One operation: on the device where a tensor or the wish for one is there."""
    name = function._schema.name.removeprefix("aten::")
    leaves = tree_leaves((args, kwargs))
    here = [x for x in leaves if isinstance(x, Pretended)]
    wanted = kwargs.get("device")
    leaves_it = bool(here) and wanted is not None and torch.device(wanted).type == "cpu"
    if not here and (wanted is None or torch.device(wanted).type != KIND):
        return function(*args, **kwargs)
    _check_mixing(name, leaves, bool(here))
    _count(name, args, leaves_it)
    replaced = _without_device(kwargs)
    if name == "_conj":  # a view whose numbers are conjugated late; the wrapper could not tell
        function = torch.ops.aten._conj_physical.default
    out = function(*tree_map(real, args), **tree_map(real, replaced))
    return out if leaves_it else tree_map(_wrapper(name, here), out)


def _check_mixing(name: str, leaves: list[Any], here: bool) -> None:
    """Raises where CUDA does: a CPU tensor with dimensions among the device's."""
    if not here or name in ("copy_", "_to_copy", *INDEXING):
        return
    strangers = [x for x in leaves if isinstance(x, Tensor) and not isinstance(x, Pretended)]
    if any(x.ndim > 0 for x in strangers):
        shapes = [tuple(x.shape) for x in strangers]
        raise RuntimeError(f"{name}: all tensors must be on one device, but {shapes} on the CPU")


def _count(name: str, args: Any, leaves_it: bool) -> None:
    _waits.operations += 1
    indices = args[1] if name in INDEXING else ()
    if any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in indices):
        _waits.found["index by bool"] += 1
    if name in ANSWERS or name in SIZES:
        _waits.found[name] += 1
    if leaves_it or (name == "copy_" and not isinstance(args[0], Pretended)):
        _waits.found["copy to the host"] += 1


def _without_device(kwargs: dict[str, Any]) -> dict[str, Any]:
    """As the CPU is asked: on itself, and with nothing that is about copies between devices."""
    kept = {k: v for k, v in kwargs.items() if k not in ("pin_memory", "non_blocking")}
    return {**kept, "device": torch.device("cpu")} if kept.get("device") else kept


def _wrapper(name: str, here: list[Pretended]) -> Callable[[Any], Any]:
    """What makes a tensor of the device of a result; a result in place is what it was before."""
    known = {id(x.real_tensor): x for x in here}

    def wrap(out: Any) -> Any:
        if not isinstance(out, Tensor):
            return out
        if id(out) not in known:
            return Pretended(out)
        if name in IN_PLACE_SHAPES:
            known[id(out)].data = Pretended(out)
        return known[id(out)]

    return wrap
