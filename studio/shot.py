"""What decides a picture of the viewport beside mesh and textures. Light: no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from studio.camera import Camera

CHANNELS = ("material", "clay", "base_color", "roughness", "metallic", "normal", "uv_checker", "depth")
"""What can be looked at: the lit picture, the bare shape, and the channels as they are."""


@dataclass(frozen=True)
class Shot:
    """Equal shots give equal pictures."""

    camera: Camera
    """`fov_deg` spans the picture's height."""
    width: int
    height: int
    samples: int = 1
    """Per pixel, a square number: 1 while moving, 4 when still."""
    channel: str = "material"
    environment: str = "softbox"
    environment_turn_deg: float = 0.0
    exposure_ev: float = 0.0
    wireframe: bool = False
    backdrop: bool = True
    """The studio with its shadow on the floor; transparent without."""
    split: float | None = None
    """Left of this part of the width `before` is shown."""

    @property
    def geometry(self) -> Shot:
        """The shot less what is decided after geometry and light: shots that are equal here quickly follow each other."""
        return replace(self, channel="", exposure_ev=0.0, wireframe=False, split=None)
