"""The one raw texture of the window, in which the viewport's picture lies, and how it is laid on the viewport.

dearpygui sends a raw texture to the graphics card in every frame, shown or not, and never frees the memory of one that is
deleted (2.3.1). Hence there is one, it only grows, and the next screen takes it over.
"""

from __future__ import annotations

import dearpygui.dearpygui as dpg
import numpy as np

from studio.gui.theme import DATA

SETTLE_S = 0.2
"""So long after the last resize the texture grows."""
STEP_PX = 64
"""Its sides are multiples of this."""


class Screen:
    """Shows pictures of any size, stretched over the viewport."""

    def __init__(self, drawlist: int | str, last: Screen | None = None) -> None:
        """Shows the poster, a picture of the first mesh, until there is something better; or what `last` showed."""
        self._list, self._layer = drawlist, dpg.add_draw_layer(parent=drawlist)
        self._size = (1, 1)
        self._resized = 0.0
        if last is not None:
            self._registry, self._texture, self._pixels = last._registry, last._texture, last._pixels
            self._poster, self._poster_size, self._shown = last._poster, last._poster_size, last._shown
            return
        self._texture: int | str | None = None
        self._pixels = np.zeros((1, 1, 4), np.float32)
        self._shown: np.ndarray | None = None
        self._registry = dpg.add_texture_registry()
        width, height, _, data = dpg.load_image(str(DATA / "poster.jpg"))
        self._poster = dpg.add_static_texture(width, height, data, parent=self._registry)
        self._poster_size = (width, height)

    @property
    def capacity(self) -> tuple[int, int]:
        """The width and height of the largest picture it can show."""
        return self._pixels.shape[1], self._pixels.shape[0]

    def resize(self, size: tuple[int, int], needed: tuple[int, int], now: float) -> bool:
        """Cover a viewport of `size` pixels with pictures of up to the `needed` size. True while they are still too large."""
        if size != self._size:
            self._size, self._resized = size, now
            dpg.configure_item(self._list, width=size[0], height=size[1])
            self._lay()
        if all(have >= need for have, need in zip(self.capacity, needed, strict=True)):
            return False
        if self._texture is not None and now - self._resized < SETTLE_S:
            return True
        old, grown = self._texture, np.maximum(self.capacity, -(-np.array(needed) // STEP_PX) * STEP_PX).tolist()
        self._pixels = np.zeros((grown[1], grown[0], 4), np.float32)
        options = {"format": dpg.mvFormat_Float_rgba, "parent": self._registry}
        self._texture = dpg.add_raw_texture(*grown, self._pixels, **options)  # type: ignore[arg-type]
        if self._shown is not None:
            self.show(self._shown)
        self._lay()
        if old is not None:
            dpg.delete_item(old)
        return False

    def show(self, picture: np.ndarray) -> None:
        """Show RGBA float32 [height, width, 4], of which what exceeds `capacity` is cut off."""
        laid = self._shown is not None and self._shown.shape == picture.shape
        self._shown, pixels = picture, self._pixels
        height, width = min(picture.shape[0], pixels.shape[0]), min(picture.shape[1], pixels.shape[1])
        pixels[:height, :width] = picture[:height, :width]
        # One more row and column, so that stretching mixes the picture's edge with nothing else.
        pixels[height : height + 1, :width] = pixels[height - 1, :width]
        pixels[: height + 1, width : width + 1] = pixels[: height + 1, width - 1 : width]
        if not laid:
            self._lay()

    def clear(self) -> None:
        """The poster again."""
        self._shown = None
        self._lay()

    def close(self) -> None:
        """Take the picture off the viewport; its texture stays for the next screen."""
        dpg.delete_item(self._layer)

    def _lay(self) -> None:
        dpg.delete_item(self._layer, children_only=True)
        if self._shown is not None and self._texture is not None:
            width, height = self.capacity
            part = (min(1.0, self._shown.shape[1] / width), min(1.0, self._shown.shape[0] / height))
            dpg.draw_image(self._texture, (0, 0), self._size, uv_min=(0, 0), uv_max=part, parent=self._layer)
            return
        # The poster's height is the viewport's, as it is for live pictures; what is too wide is cut off.
        (w, h), (wide, high) = self._size, self._poster_size
        left = max(0.0, (1 - w / h * high / wide) / 2)
        dpg.draw_image(self._poster, (0, 0), self._size, uv_min=(left, 0), uv_max=(1 - left, 1), parent=self._layer)
