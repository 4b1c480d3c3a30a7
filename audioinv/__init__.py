"""audioinv: one self-supervised audio encoder, many invariances."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audioinv.core.encoder import AmortisedEncoder

__version__ = "0.1.0"
__all__ = ["__version__", "load_encoder"]


def load_encoder(folder: str | Path) -> AmortisedEncoder:
    """The encoder in a run's `encoder/` folder, in evaluation mode; runs no code from the files.

    Raises:
        UserError: a file is missing, damaged, or of an unknown format.
    """
    # Here, so that `import audioinv` and `audioinv --help` do not wait for torch.
    from audioinv.core.encoder import AmortisedEncoder
    from audioinv.data.modality import build_frontend

    return AmortisedEncoder.load(folder, build_frontend)
