"""Masks over the texture laid flat: what is locked is dimmed and hatched, and where rewards push is tinted when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dearpygui.dearpygui as dpg
import numpy as np

from studio.errors import StudioError
from studio.gui.panels._flat import Look, picture
from studio.gui.theme import BONE, CHARCOAL, VERDIGRIS

if TYPE_CHECKING:
    from torch import Tensor

    from studio.gui.app import App
    from studio.texture import Texture

PITCH_PX, LINE_PX = 8, 1.5
"""Of the hatching."""
DIM, INK, TINT = 0.5, 0.45, 0.55
"""Opacities: of the dark and of the lines over what is locked, and of the tint where rewards push fully."""
Stamped = tuple[tuple[str, int], ...]
"""Masks, each with the time of its file."""


@dataclass(frozen=True)
class Masks:
    """What is to be shown of the settings' masks."""

    lock: Stamped
    region: Stamped
    """None where the box is not ticked."""


def hatched(ground: np.ndarray, locked: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """`ground` [h, w, 4], dimmed and hatched where `locked` [h, w] is 1."""
    rows, columns = np.mgrid[: ground.shape[0], : ground.shape[1]]
    pitch = PITCH_PX * scale
    lines = np.clip(LINE_PX * scale / 2 + 0.5 - np.abs((rows + columns) % pitch - pitch / 2), 0, 1)
    dimmed = _mixed(ground, CHARCOAL, DIM * locked)
    return _mixed(dimmed, BONE, INK * locked * lines)


def tinted(ground: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """`ground` [h, w, 4], the greener the larger `weight` [h, w]."""
    return _mixed(ground, VERDIGRIS, TINT * weight)


def _mixed(ground: np.ndarray, colour: tuple[int, ...], opacity: np.ndarray) -> np.ndarray:
    """Straight colours over what there is; the ground's own opacity stays."""
    result = ground.copy()
    alpha = opacity[..., None]
    result[..., :3] = result[..., :3] * (1 - alpha) + np.array(colour[:3], np.float32) / 255 * alpha
    return result


class Masked:
    """The tick box "Region", made in the container that is open, and what it and the locks lay over the texture."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._read: dict[float, tuple[Any, Tensor | None]] = {}
        dpg.add_checkbox(label="Region", tag="atlas.region", default_value=True, show=False)
        app.theme.tip("atlas.region", "Tint where rewards push: the greener, the harder. What is locked is hatched.")

    def wish(self) -> Masks:
        """What is to be shown now; called on the main thread."""
        config = self._app.session.document.config
        if dpg.is_item_shown("atlas.region") != any(config.region):
            dpg.configure_item("atlas.region", show=any(config.region))
        return Masks(_stamped(config.lock), _stamped(config.region if dpg.get_value("atlas.region") else ()))

    def over(self, flat: np.ndarray, masks: Masks, texture: Texture, index: int, look: Look) -> np.ndarray:
        """`flat` [h, w, 4] with the masks of one texture set over it. What cannot be read is left out: Start names it."""
        if (weight := self._mask(masks.region, texture, empty=1.0)) is not None:
            flat = tinted(flat, picture(weight[index], look)[..., 0])
        if (lock := self._mask(masks.lock, texture, empty=0.0)) is not None:
            flat = hatched(flat, picture((lock[index] >= 0.5).float(), look)[..., 0], self._app.theme.scale)
        return flat

    def _mask(self, stamped: Stamped, texture: Texture, *, empty: float) -> Tensor | None:
        """[S, 1, T, T], kept until another one is asked for."""
        from studio import region

        if not any(path for path, _ in stamped):
            return None
        key = (stamped, texture.names, texture.size_px)
        if self._read.get(empty, (None, None))[0] != key:
            try:
                value = region.layers([path for path, _ in stamped], texture.names, texture.size_px, empty=empty).value
            except StudioError:
                value = None
            self._read[empty] = key, value
        return self._read[empty][1]


def _stamped(paths: tuple[str, ...]) -> Stamped:
    return tuple((path, _time(path)) for path in paths)


def _time(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns if path else 0
    except (OSError, ValueError):
        return 0
