"""Networks as ONNX: the same features elsewhere, without torch."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from audioinv.base.errors import UserError
from audioinv.core.encoder import AmortisedEncoder

NEEDED = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4
log = logging.getLogger(__name__)


class AnyDescriptor(nn.Module):
    """An encoder whose descriptor stays an input: clips (B, ...), descriptors (B, K) -> (B, d).

    Args:
        encoder: of low rank, norm or prompt conditioning. layers: last, all or depth.

    Raises:
        UserError: its conditioning cannot run a batch of several descriptors in one pass.
    """

    def __init__(self, encoder: AmortisedEncoder, layers: str = "last") -> None:
        super().__init__()
        name = encoder.config["conditioning"]["name"]
        corners = encoder.space.all_on()[None]
        if not encoder.is_conditioned or (
            encoder.conditioning.per_example(corners, encoder.backbone) is None
        ):
            raise UserError(
                f"this encoder's conditioning, {name}, cannot leave the descriptor open: norm, "
                "prompt and hyper with rank above 0 (hyper_light) can, on networks of torch's own "
                "layers; give --descriptor all, none, a+b or -a"
            )
        self.encoder, self.layers = encoder, layers

    def forward(self, x: Tensor, descriptor: Tensor) -> Tensor:
        """Features (B, d)."""
        features: Tensor = self.encoder(x, descriptor, self.layers)
        return features


def onnx_of(network: nn.Module, inputs: Mapping[str, Tensor], output: str = "features") -> bytes:
    """An ONNX model of `network`, which gives within 1e-4 what torch does.

    The batch size is free, and so are the axes of a clip that the front end calls `free_axes`,
    where the network takes clips of other lengths.

    Args:
        network: in evaluation mode, with a `frontend`, in itself or within its `encoder`.
        inputs: name -> example, in the order of its arguments, clips first, of 2 clips or more.

    Raises:
        UserError: packages are missing, or torch has no ONNX for an operation of the network.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UserError(f"ONNX needs {', '.join(missing)}; pip install 'audioinv[onnx]'")
    plain = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    shapes = _free(plain, list(inputs.values()))
    for module in plain.modules():
        if change := getattr(module, "without_complex_numbers", None):
            change()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its own inside
        try:
            made = torch.onnx.export(
                plain, tuple(inputs.values()), dynamo=True, verbose=False, dynamic_shapes=shapes,
                input_names=list(inputs), output_names=[output],
            )  # fmt: skip
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"torch cannot write this network as ONNX: {reason}") from error
    model: bytes = made.model_proto.SerializeToString()  # type: ignore[union-attr]
    return model


def _free(network: nn.Module, inputs: Sequence[Tensor]) -> tuple[dict[int, str], ...]:
    """Axis -> name of those whose size is free, for each input."""
    clips = {0: "batch"}
    for axis, name in enumerate(_axes(network), 1):
        if _takes(network, inputs, axis):
            clips[axis] = name
    return clips, *({0: "batch"} for _ in inputs[1:])


def _axes(network: nn.Module) -> Sequence[str]:
    found = (getattr(module, "free_axes", None) for module in network.modules())
    return next((axes for axes in found if axes), ())


@torch.no_grad()
def _takes(network: nn.Module, inputs: Sequence[Tensor], axis: int) -> bool:
    """Whether clips twice as long along an axis give features of the same size."""
    x, *others = inputs
    try:
        longer = network(torch.cat([x, x], axis), *others)
        return bool(longer.shape == network(*inputs).shape)
    # whatever a network of one size provokes
    except (UserError, RuntimeError, ValueError, AssertionError):
        return False


@torch.no_grad()
def difference(model: bytes, network: nn.Module, inputs: Mapping[str, Tensor]) -> float:
    """The most by which onnxruntime's features differ from torch's, on `inputs`."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: x.cpu().numpy() for name, x in inputs.items()})
    return float((torch.from_numpy(found) - network(*inputs.values()).cpu()).abs().max())
