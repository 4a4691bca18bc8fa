"""Makes the viewport's poster, which is shown until the first live picture: `python docs/poster.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from studio import resources  # noqa: E402
from studio.camera import framed  # noqa: E402
from studio.gui.viewport import HOME  # noqa: E402
from studio.shot import Shot  # noqa: E402
from studio.surface.mesh import load  # noqa: E402
from studio.texture import Texture  # noqa: E402
from studio.view import Viewer  # noqa: E402

WIDTH, HEIGHT = 1920, 800

if __name__ == "__main__":
    mesh = load(resources.sample("vase"))
    viewer = Viewer()
    viewer.show(mesh)
    shot = Shot(framed(HOME, mesh.vertices, aspect=WIDTH / HEIGHT), WIDTH, HEIGHT, samples=16)
    picture = viewer.draw(shot, Texture.from_mesh(mesh, 64))[..., :3]
    pixels = Image.fromarray((picture.clip(0, 1) * 255 + 0.5).astype(np.uint8))
    pixels.save(ROOT / "studio" / "gui" / "data" / "poster.jpg", quality=88, subsampling=0, optimize=True)
