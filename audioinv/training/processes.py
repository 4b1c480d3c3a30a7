"""Several processes that train as one: their share of a batch, what they compare, and their end.

Every process holds `batch_size` clips of a joined batch, in the order of ranks. Loss, gradients and
weights are those of one process with the joined batch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.base.near import meant_by
from audioinv.core.bases import kept_as_factors

if TYPE_CHECKING:
    from lightning.fabric import Fabric

LOST = re.compile(
    r"gloo|nccl|connection (closed|reset|refused)|broken pipe|timed out|socket|tcpstore", re.I
)
HALF = {"bf16-true": "bf16-mixed", "16-true": "16-mixed"}
"""Precisions that are refused, and what to take."""


def make_fabric(
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    precision: str = "32-true",
    deterministic: bool = False,
    timeout_s: int = 600,
    find_unused: bool = True,
) -> Fabric:
    """Lightning Fabric for these devices and precision; starts the other processes.

    Args:
        device: its accelerator: "auto", "cpu", "cuda" or "mps".
        precision: as of Fabric, but for those that keep weights themselves in half.
        nodes: machines, with `devices` of each.
        deterministic: only algorithms that give the same bits again, or an error.
        timeout_s: how long one process waits for another before it gives up.
        find_unused: whether a step may leave a parameter without gradient, such as the head of a
            corner that it does not draw; several processes then search for these at every step.

    Raises:
        UserError: settings that Fabric refuses, or the other processes do not come.
    """
    # Lightning takes 275 MB, which whoever only embeds need not have.
    from lightning.fabric import Fabric
    from lightning.fabric.strategies import DDPStrategy
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    if precision in HALF:
        raise UserError(
            f"precision is {precision}: weights in half lose small steps, and spectra do not fit; "
            f"give {HALF[precision]}, which computes in half what bears it"
        )
    torch.set_float32_matmul_precision("high")
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before CUDA is first used
    torch.use_deterministic_algorithms(deterministic)
    ddp = DDPStrategy(find_unused_parameters=find_unused, timeout=timedelta(seconds=timeout_s))
    try:
        fabric = Fabric(
            accelerator=device,
            devices=devices,
            num_nodes=nodes,
            strategy=ddp if devices * nodes > 1 else "auto",
            precision=precision,  # type: ignore[arg-type]  # Fabric checks it
        )
        fabric.launch()
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        near = _meant(str(error), device, precision)
        raise UserError(
            f"accelerator={device} devices={devices} nodes={nodes} precision={precision}: "
            f"{error}{near}"
        ) from error
    return fabric


def _meant(error: str, *given: str) -> str:
    """Of the names at the end of what Fabric says, those that are near to what was given."""
    names = re.findall(r"[\w-]+", error.rpartition(": ")[2])
    return meant_by((word for word in given if word not in names), names)


def gather(x: Tensor, fabric: Fabric) -> Tensor:
    """The examples (B, d) of every process, (W B, d), in the order of ranks.

    The gradient of a loss over all of them, computed on every process, flows back to the process
    that an example came from; the mean that DDP takes over processes then makes it that of one
    process with the joined batch, neither W times it nor a W-th.
    """
    if fabric.world_size == 1:
        return x
    return cast(Tensor, _Gather.apply(x)).flatten(0, 1)


class _Gather(torch.autograd.Function):
    """Equal tensors (...) of W processes, stacked to (W, ...), with gradients to all of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)  # what the losses of all processes want of each
        return total[dist.get_rank()]


def leave_factors_to_us(method: nn.Module) -> None:
    """DDP leaves bases alone whose gradients are kept as factors: `bases.joined` reduces these.

    It would reduce as many zeros as bases have numbers, at every step.
    """
    names = [n for n, p in method.named_parameters() if kept_as_factors(p)]
    ignored: Any = getattr(method, "_ddp_params_and_buffers_to_ignore", [])
    method._ddp_params_and_buffers_to_ignore = [*ignored, *names]  # type: ignore[assignment]


def share_first_bases(method: nn.Module, fabric: Fabric) -> None:
    """All processes begin with the first one's bases, as DDP does with what it does not ignore."""
    if fabric.world_size > 1:
        for parameter in filter(kept_as_factors, method.parameters()):
            dist.broadcast(parameter.detach(), 0)


def pinned(x: Tensor, device: torch.device) -> Tensor:
    """`x`, on its way to a GPU in memory from which it is copied while the processor goes on."""
    return x.pin_memory() if device.type == "cuda" else x


def own_rows(batch_size: int, fabric: Fabric) -> slice:
    """Which rows of the joined batch are this process's."""
    first = fabric.global_rank * batch_size
    return slice(first, first + batch_size)


def mean_over_processes(x: Tensor, fabric: Fabric) -> Tensor:
    """The mean of a scalar over processes, with gradients; NaN where one of them has NaN."""
    return x if fabric.world_size == 1 else gather(x[None], fabric).mean()


def any_process(flag: bool, fabric: Fabric) -> bool:
    """Whether `flag` is set on any process; all of them must ask."""
    if fabric.world_size == 1:
        return flag
    flags = cast(Tensor, fabric.all_gather(torch.tensor(flag, device=fabric.device)))
    return bool(flags.any())


def agree_on_start(start: int, run: Path, fabric: Fabric) -> None:
    """Raises a UserError unless every process resumes from the same step."""
    if fabric.world_size == 1:
        return
    found = cast(Tensor, fabric.all_gather(torch.tensor(start, device=fabric.device)))
    if len(found.unique()) > 1:
        raise UserError(
            f"the processes found checkpoints of different steps in {run}: {found.tolist()}; "
            "give a run folder that all machines share"
        )


@contextmanager
def process_group(fabric: Fabric) -> Iterator[None]:
    """The processes of a run work together inside, and part at its end, however it comes.

    gloo's threads hold tensors of the last collectives: where the interpreter ends before they have
    let go, they abort the process, although all is done (pytorch/pytorch#179291).

    Raises:
        UserError: a collective failed because another process is dead or hangs.
    """
    try:
        yield
    except RuntimeError as error:
        if fabric.world_size == 1 or not LOST.search(str(error)):
            raise
        raise UserError(
            f"process {fabric.global_rank} of {fabric.world_size} lost another one, which has "
            f"ended or hangs ({str(error).splitlines()[0][:200]}); the same command resumes"
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


class SynchronisedNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose training statistics are of the joined batch, on any device and backend.

    (torch.nn.SyncBatchNorm does this on GPUs only, so that two CPU processes could not be compared
    with one.) Every process must hold as many examples as the others. Where no statistics are kept
    (`core.penalty.without_statistics`) it normalises by the process's own batch: the gather has no
    second derivative.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected (B, C, ...), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalises (B, C, ...) per channel."""
        self._check_input_dim(input)
        several = dist.is_initialized() and dist.get_world_size() > 1
        if not (self.training and self.track_running_stats and several):
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        own_var, own_mean = torch.var_mean(x, [0, *range(2, x.ndim)], correction=0)
        parts = _Gather.apply(torch.stack([own_mean, own_var]))  # (W, 2, C)
        mean = parts[:, 0].mean(0)
        var = parts[:, 1].mean(0) + parts[:, 0].var(0, correction=0)  # within and between processes
        self._follow(mean.detach(), var.detach(), len(parts) * x.numel() // x.shape[1])
        scale = (var + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        offset = self.bias - mean * scale if self.affine else -mean * scale
        shape = (1, -1, *[1] * (x.ndim - 2))
        return (x * scale.view(shape) + offset.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, var: Tensor, n: int) -> None:
        """Moves the running statistics, as BatchNorm does, towards those of `n` values."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / int(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((var * n / (n - 1)).to(self.running_var.dtype), momentum)


def synchronise_norms(module: nn.Module) -> None:
    """Puts a `SynchronisedNorm` with the same tensors in the place of every BatchNorm in `module`.

    Raises:
        UserError: a normalisation that does more than BatchNorm does.
    """
    plain = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    for name, child in module.named_children():
        if type(child) in plain:
            setattr(module, name, _synchronised(cast(nn.modules.batchnorm._BatchNorm, child)))
        elif isinstance(child, nn.modules.batchnorm._BatchNorm):
            if not isinstance(child, SynchronisedNorm):
                raise UserError(
                    f"pretrain.sync_batch_norm knows BatchNorm, not {type(child).__name__}; "
                    "choose another backbone, or sync_batch_norm=false"
                )
        else:
            synchronise_norms(child)


def _synchronised(norm: nn.modules.batchnorm._BatchNorm) -> SynchronisedNorm:
    new = SynchronisedNorm(norm.num_features, norm.eps, norm.momentum, norm.affine)
    for name, parameter in norm.named_parameters(recurse=False):
        setattr(new, name, parameter)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        setattr(new, name, getattr(norm, name))  # None where there are no running statistics
    new.track_running_stats = norm.track_running_stats
    return new.train(norm.training)


# What torchrun, srun and Fabric tell a process that they start.
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def is_first_process() -> bool:
    """Whether this is the only process or the first of several, before Fabric has joined them."""
    return not any(int(os.environ.get(name) or 0) for name in RANKS)
