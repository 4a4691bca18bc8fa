"""The one raw texture of the window, in which the viewport's picture lies, and how it is laid on the viewport.

dearpygui sends a raw texture to the graphics card in every frame, shown or not, and never frees the memory of one that is
deleted (2.3.1). Hence there is one, it only grows, and the next screen takes it over. Over OpenGL, on Linux, what is sent in
one frame is seen from the next frame on, and a new texture is empty for a frame: the old layout stays for as long.
"""

from __future__ import annotations

import sys

import dearpygui.dearpygui as dpg
import numpy as np

from studio.gui.theme import DATA

REGISTRY = "viewport.textures"
"""Outlives the window's items when they are made anew."""
LATE, EMPTY = (1, 2) if sys.platform == "linux" else (0, 0)
"""So many frames after it was sent a picture is seen: in a texture, and in a new one."""
SETTLE_S = 0.2
"""So long after the last resize the texture grows."""
STEP_PX = 64
"""Its sides are multiples of this."""
ALIKE = 0.01
"""Shapes that differ by less than this part are one: pictures are stretched over the viewport."""


class Screen:
    """Shows pictures of any size, as high as the viewport."""

    def __init__(self, drawlist: int | str, last: Screen | None = None) -> None:
        """Shows the poster, a picture of the first mesh, until there is something better; or what `last` showed."""
        self._list, self._layer = drawlist, dpg.add_draw_layer(parent=drawlist)
        self._size = (1, 1)
        self._resized = 0.0
        self._wait = 0  # frames until what was sent is seen
        if last is not None:
            self._texture, self._pixels, self._sent = last._texture, last._pixels, last._sent
            self._poster, self._poster_size = last._poster, last._poster_size
        else:
            self._texture: int | str | None = None
            self._pixels = np.zeros((1, 1, 4), np.float32)
            self._sent: np.ndarray | None = None
            dpg.add_texture_registry(tag=REGISTRY)
            width, height, _, data = dpg.load_image(str(DATA / "poster.jpg"))
            self._poster = dpg.add_static_texture(width, height, data, parent=REGISTRY)
            self._poster_size = (width, height)
        self._seen = (self._texture, self._pixels, self._sent)

    @property
    def capacity(self) -> tuple[int, int]:
        """The width and height of the largest picture it can show."""
        return self._pixels.shape[1], self._pixels.shape[0]

    def resize(self, size: tuple[int, int], needed: tuple[int, int], now: float) -> bool:
        """Each frame: cover a viewport of `size` pixels with pictures of up to the `needed` size. True while they are too big."""
        if self._wait:
            self._wait -= 1
            self._turn()
        if size != self._size:
            self._size, self._resized = size, now
            dpg.configure_item(self._list, width=size[0], height=size[1])
            self._lay()
        if all(have >= need for have, need in zip(self.capacity, needed, strict=True)):
            return False
        if self._texture is not None and now - self._resized < SETTLE_S:
            return True
        grown = np.maximum(self.capacity, -(-np.array(needed) // STEP_PX) * STEP_PX).tolist()
        self._pixels = np.zeros((grown[1], grown[0], 4), np.float32)
        options = {"format": dpg.mvFormat_Float_rgba, "parent": REGISTRY}
        self._texture = dpg.add_raw_texture(*grown, self._pixels, **options)  # type: ignore[arg-type]
        self._wait = EMPTY
        if self._sent is not None:
            self.show(self._sent)
        return False

    def show(self, picture: np.ndarray) -> None:
        """Show RGBA float32 [height, width, 4], of which what exceeds `capacity` is cut off."""
        pixels = self._pixels
        height, width = min(picture.shape[0], pixels.shape[0]), min(picture.shape[1], pixels.shape[1])
        pixels[:height, :width] = picture[:height, :width]
        # One more row and column, so that stretching mixes the picture's edge with nothing else.
        pixels[height : height + 1, :width] = pixels[height - 1, :width]
        pixels[: height + 1, width : width + 1] = pixels[: height + 1, width - 1 : width]
        self._sent = pixels[:height, :width]
        self._wait = max(self._wait, LATE)
        self._turn()

    def clear(self) -> None:
        """The poster again."""
        self._sent = None
        self._turn()

    def close(self) -> None:
        """Take the picture off the viewport; its texture stays for the next screen."""
        self._wait = 0
        self._turn()
        dpg.delete_item(self._layer)

    def _turn(self) -> None:
        """Lay out what was sent, if it is to be seen by now."""
        if self._wait and self._sent is not None:
            return
        (old, _, last), self._seen = self._seen, (self._texture, self._pixels, self._sent)
        if old != self._texture or (last is None) != (self._sent is None) or _shape(last) != _shape(self._sent):
            self._lay()
        if old not in (None, self._texture):
            dpg.delete_item(old)

    def _lay(self) -> None:
        """A picture of another shape keeps it until the next one is there: what is too wide is cut off, gaps are filled."""
        dpg.delete_item(self._layer, children_only=True)
        texture, pixels, shown = self._seen
        if shown is None or texture is None:
            texture, (wide, high), part = self._poster, self._poster_size, (1.0, 1.0)
        else:
            high, wide = shown.shape[:2]
            part = (wide / pixels.shape[1], high / pixels.shape[0])
        w, h = self._size
        ratio = h * wide / high / w  # of the widths of picture and viewport
        ratio = 1.0 if abs(ratio - 1) < ALIKE else ratio
        gap, cut, edge = max(0, round((1 - ratio) / 2 * w)), max(0.0, (1 - 1 / ratio) / 2) * part[0], part[0] / wide / 2
        strips = ((gap, w - gap, cut, part[0] - cut), (0, gap, edge, edge), (w - gap, w, part[0] - edge, part[0] - edge))
        for left, right, u, end in strips if gap else strips[:1]:
            dpg.draw_image(texture, (left, 0), (right, h), uv_min=(u, 0), uv_max=(end, part[1]), parent=self._layer)


def _shape(picture: np.ndarray | None) -> tuple[int, ...]:
    return picture.shape if picture is not None else ()
