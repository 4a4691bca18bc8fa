"""Still pictures of a panel as static textures, which cost nothing per frame; a new picture is a new texture."""

from __future__ import annotations

import dearpygui.dearpygui as dpg
import numpy as np


class Shelf:
    """The textures of one panel. What an earlier build of the panel left behind is deleted when it is made anew."""

    def __init__(self, panel: str) -> None:
        self._tag = f"{panel}.textures"
        if dpg.does_item_exist(self._tag):
            dpg.delete_item(self._tag)
        dpg.add_texture_registry(tag=self._tag)

    def put(self, picture: np.ndarray) -> int:
        """A texture of `picture` [h, w, 4] float32 sRGB in [0, 1] with opacity."""
        height, width = picture.shape[:2]
        return int(dpg.add_static_texture(width, height, np.ascontiguousarray(picture, np.float32), parent=self._tag))  # type: ignore[arg-type]

    def drop(self, texture: int | None) -> None:
        """Delete a texture that no item shows any more."""
        if texture is not None and dpg.does_item_exist(texture):
            dpg.delete_item(texture)
