"""PNG: the atlas itself, one picture for each texture set and channel, for painters and engines that assemble materials."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from studio.errors import StudioError
from studio.exporters import SIZES, Asset, Exporter
from studio.plug import knob

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class PNG(Exporter):
    """The colours of the first texture set as the main file, `<stem>_<set>_<channel>.png` beside it, the receipt in a text chunk.

    Base colour is sRGB, the other channels are linear greys; 8 bits, height 16.
    """

    suffix: ClassVar[str] = ".png"

    size_px: int = knob(0, "Side of the textures, in texels; 0 leaves it as it was painted.", choices=SIZES, unit="px")
    padding_px: int = knob(0, "Width of the paint around charts, the rest transparent; 0 paints all.", low=0, high=64, unit="px")

    def write(self, asset: Asset, path: Path) -> list[Path]:
        """Write the pictures. Raises as the promise says, and StudioError for padding around charts that do not exist."""
        from studio import files
        from studio.exporters import _source

        path = Path(path)
        receipt = json.dumps(files.jsonable(asset.receipt), ensure_ascii=False)
        contents = {}
        for name, channel in asset.texture.channels.items():
            shown, alpha = self._prepared(asset, channel)
            for s in range(len(asset.texture.names)):
                picture = _picture(shown[s], None if alpha is None else alpha[s], deep=name == "height")
                contents[_place(path, asset.texture.names, s, name)] = _encoded(picture, receipt)
        contents[path] = contents.pop(path)  # the main file takes its place last
        _source.spare(asset.mesh, contents)
        return files.write_together(contents)

    def _prepared(self, asset: Asset, channel: Tensor) -> tuple[Tensor, Tensor | None]:
        """The channel [S, C, n, n] as it will be written, and where it is opaque [S, n, n] (None: everywhere)."""
        from studio.exporters._maps import resampled
        from studio.surface.atlas import build_atlas

        channel = resampled(channel, self.size_px)
        if not self.padding_px:
            return channel, None
        if asset.mesh.corner_uv is None:
            raise StudioError(f"'{asset.mesh.name}' has no UVs, so there are no charts to pad.", "Set padding_px to 0.")
        atlas = build_atlas(asset.mesh, channel.shape[-1])
        return atlas.dilated(channel), _within(atlas.nearest, self.padding_px) & (atlas.claim >= 0)


def _within(nearest: Tensor, reach_px: int) -> Tensor:
    """[S, n, n] bool: the texel `nearest` names (flat, itself in a chart) is at most so far away. Atlases wrap round."""
    import torch

    size = nearest.shape[-1]
    at = torch.arange(size)
    down = (nearest // size % size - at[:, None]).abs()
    right = (nearest % size - at).abs()
    down, right = (torch.minimum(d, size - d) for d in (down, right))
    return down**2 + right**2 <= reach_px**2


def _picture(channel: Tensor, opaque: Tensor | None, *, deep: bool) -> np.ndarray:
    """One set's channel [C, n, n] → [n, n] or [n, n, 2, 3 or 4] uint8; [n, n] uint16 when `deep`, which knows no opacity."""
    import numpy as np

    from studio.exporters._maps import pixels

    if deep:
        return (channel[0].double().clamp(0, 1) * 65535).round().numpy().astype(np.uint16)
    result = pixels(channel)
    if opaque is not None:
        result = np.concatenate([result, opaque.numpy().astype(np.uint8)[..., None] * 255], axis=-1)
    return result[..., 0] if result.shape[-1] == 1 else result


def _place(path: Path, sets: tuple[str, ...], s: int, channel: str) -> Path:
    """Where a set's channel is written; sets are named only when there are several, and numbered where names recur."""
    if s == 0 and channel == "base_color":
        return path
    names = [re.sub(r"[^\w-]+", "_", name) for name in sets]
    name = names[s] if names.count(names[s]) == 1 else f"{names[s]}_{s + 1}"
    return path.with_name("_".join([path.stem, *([name] if len(sets) > 1 else []), channel]) + path.suffix)


def _encoded(picture: np.ndarray, receipt: str) -> bytes:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("patina", receipt)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", pnginfo=info)
    return file.getvalue()
