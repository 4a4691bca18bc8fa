"""What a whole run that takes about a second is made of."""

from __future__ import annotations

from typing import Any

from tests.meshes import uv_sphere

BALL = uv_sphere(24, 12)
QUICK: dict[str, Any] = {
    "atlas_px": 256,
    "views": 2,
    "max_views": 2,
    "device": "cpu",
    "renderer": "embree",
    "generator": {"name": "tiny", "steps": 2},
}
"""The smallest settings; a test adds its prompt, trainer and rewards, and how long it learns."""
