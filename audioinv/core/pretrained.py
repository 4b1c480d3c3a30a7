"""To and from the Hugging Face hub, as other libraries' models have it."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name
from tempfile import TemporaryDirectory
from typing import Any, Self

from torch import nn

# By their names: the rooms above know front ends and the hub, this one tensors alone.
LOAD, SEND = "audioinv.data.modality:load_encoder", "audioinv.data.hub:sent"
CARD = "audioinv.data.card:encoder_card"


class Pretrained:
    """`from_pretrained` and `push_to_hub` of what has `save`."""

    save: Any

    @classmethod
    def from_pretrained(
        cls, name: str | Path, backbone: nn.Module | None = None, revision: str | None = None
    ) -> Self:
        """The encoder in a folder, or of the hub; runs no code from the files, unpickles nothing.

            encoder = ai.Encoder.from_pretrained("me/my-encoder")

        Args:
            name: a folder, or OWNER/NAME. backbone: the network, of an encoder that was made with
                one of your own. revision: on the hub: a branch, tag or commit.

        Raises:
            UserError: there is none, or it cannot be read.
        """
        loaded: Self = resolve_name(LOAD)(name, backbone, revision)
        return loaded

    def push_to_hub(
        self, name: str, licence: str, private: bool = False, card: str | None = None
    ) -> str:
        """Uploads it with a model card; returns its address.

            encoder.push_to_hub("me/my-encoder", "apache-2.0")

        `audioinv hub push RUN` writes a fuller card, with data, results and measurements of a run.

        Args:
            licence: of the weights, as the hub has it. card: Markdown; None writes one.

        Raises:
            UserError: no login, or no connection.
        """
        with TemporaryDirectory() as folder:
            self.save(folder)
            made = card or resolve_name(CARD)(folder, name, licence)
            return str(resolve_name(SEND)(Path(folder), name, made, private))
