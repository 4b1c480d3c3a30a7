"""A folder of files as a pack, so that what nobody prepared can be searched."""

from __future__ import annotations

import sys
from pathlib import Path

from audioinv.base.errors import UserError
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.manifest import read_manifest
from audioinv.data.modality import modality_of
from audioinv.data.pack import Pack, build_pack, open_pack
from audioinv.data.preparing import preparing

PACKED = "pack.json"


def pack_of(source: Pack | str | Path, encoder: AmortisedEncoder, into: Path) -> Pack:
    """A pack, that of a folder, or a new one of the files in a folder that is none.

    Names of folders become labels. Files that cannot be read are left out, and named.

    Args:
        encoder: whose modality and size of clips it gets. into: the folder of a new one.

    Raises:
        UserError: it is no folder, or holds no file that this encoder takes.
    """
    if isinstance(source, Pack):
        return source
    root = Path(source)
    if (root / PACKED).is_file():
        return open_pack(root)
    if not root.is_dir():
        raise UserError(f"{root} is no folder; give a pack, or a folder of files")
    modality = modality_of(encoder.frontend.modality)
    corpora = modality.corpora()
    corpus = next(corpora[name] for name in corpora if name.endswith("folder"))
    with preparing(on_error="skip") as preparation:
        manifest = read_manifest(corpus.prepare(root, into / "data"))
    for line in preparation.told():
        print(f"left out: {line}", file=sys.stderr)
    media = modality.media(encoder.frontend.config[modality.size])
    return build_pack(manifest, into / "pack", media, on_error="skip")
