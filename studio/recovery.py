"""What material recovery can be told: its settings, the presets that compare its parts, names of lights and of conventions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio.errors import unknown
from studio.plug import checked, knob

LEARN = "learn"
"""In place of a light's name: the light is learned even where the pictures say what it was."""
MEANINGS = {
    "opengl": "cameras that look along -z with y up, in a right-handed world with y up",
    "opencv": "cameras that look along +z with y down (OpenCV, COLMAP)",
    "inverse": "matrices from the world to the camera",
    "opencv_inverse": "matrices from the world to cameras that look along +z with y down (OpenCV, COLMAP)",
    "z_up": "a world with z up",
    "opencv_z_up": "a world with z up, and cameras that look along +z with y down",
    "left_handed": "a left-handed world (z mirrored, as in Unity)",
    "left_handed_x": "a left-handed world (x mirrored)",
}
"""What a file's camera matrices may mean, by the name of the convention, in words to follow 'The pictures fit'."""


@dataclass(frozen=True)
class Settings:
    """How materials are recovered; the defaults are the preset `split`."""

    iterations: int = knob(800, "Steps of the two branches, on random pixels of all pictures.", low=1, high=100_000)
    fine_iterations: int = knob(300, "Steps of the texels themselves afterwards, for fine detail.", low=0, high=100_000)
    batch_px: int = knob(4096, "Pixels of one step.", low=64, high=1 << 22, unit="px")
    levels: int = knob(8, "Levels of the branches' hash grids: more hold finer detail and take longer.", choices=(2, 4, 8, 16))
    atlas_px: int = knob(1024, "Side of the recovered textures.", low=16, high=4096, unit="px")
    size_px: int = knob(512, "Pictures with a longer side are scaled down to this.", low=16, high=4096, unit="px")
    ssaa: int = knob(2, "Samples of the surface per pixel and axis: small and curved parts need 2, 1 is faster.", low=1, high=4)
    background: str = knob(
        "ignore",
        "What the pictures show behind the object: ignored, with its border, or a colour that border pixels are mixed with.",
        choices=("ignore", "black", "white"),
    )
    occlusion: str = knob(
        "baked",
        "Light hidden by the mesh itself: cast once by rays in all directions, learned along with roughness, or none.",
        choices=("baked", "learned", "none"),
    )
    loss: str = knob(
        "robust",
        "What is made small: one robust distance; the paper's two, each for its own branch; their sum; or nvdiffrec's.",
        choices=("robust", "separate", "summed", "log_l1"),
    )
    schedule: bool = knob(True, "Colour and normal are learned first; roughness and metallic join in over the first half.")
    joint: bool = knob(False, "One network for everything instead of two branches.")
    metallic_start: float = knob(0.05, "What all of the surface is taken for at first: 0 no metal, 1 metal.", low=0.01, high=0.99)
    rate: float = knob(0.03, "Learning rate of the branches.", low=1e-5, high=0.5)
    fine_rate: float = knob(0.004, "How far a texel may move in one step.", low=1e-5, high=0.5)
    smooth: float = knob(0.2, "How strongly neighbouring places are kept alike.", low=0.0, high=10.0)
    straight: float = knob(0.1, "How strongly normals are kept as the mesh has them.", low=0.0, high=10.0)
    decided: float = knob(0.02, "How strongly surface is either metal or not, in the second half.", low=0.0, high=10.0)
    light_px: int = knob(64, "Rows of the light that is learned where none is known.", choices=(16, 32, 64, 128), unit="px")
    white_balance: float = knob(0.02, "How strongly a learned light is kept without colour.", low=0.0, high=10.0)
    seed: int = knob(0, "Which random pixels and beginnings are drawn.", low=0)


PRESETS: dict[str, dict[str, Any]] = {
    "split": {},
    "paper": {"loss": "separate", "decided": 0.0},
    "joint": {
        **{"joint": True, "schedule": False, "loss": "log_l1", "metallic_start": 0.5},
        **{"smooth": 0.03, "straight": 0.0, "decided": 0.0},
    },
}
"""`split`: two branches, schedules, a low metallic start, one robust loss, and priors on what materials are like. `paper`: the
losses of Separate and Specialize, each felt by its own branch only. `joint`: one network and one loss, as plain nvdiffrec."""


def settings(preset: str = "split", values: Mapping[str, Any] | None = None) -> Settings:
    """A preset with `values` over it. Raises StudioError for an unknown preset or setting, and values out of range."""
    if preset not in PRESETS:
        raise unknown("preset of recovery", preset, PRESETS)
    return Settings(**checked(Settings, {**PRESETS[preset], **(values or {})}, what="recovery"))
