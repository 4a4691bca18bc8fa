"""Recovered against true materials under lights that recovery has not seen, as one picture.

`python tests/bench/relit.py --out FILE.webp [--pictures DIR] [--device cuda]`

Every example is recovered from traced pictures (`tests/bench/recover.py --trace` makes them) under the known light they were
taken in; a pair of columns for each of LIGHTS shows the true materials on the left and the recovered ones on the right.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, os.getcwd())

LIGHTS = ("softbox", "sunset", "courtyard")
SIDE, GAP, HEAD = 150, 4, 22
QUALITY, GROUND = 88, 0.72


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--pictures", type=Path, default=Path("traced"), help="where the traced pictures are")
    p.add_argument("--examples", nargs="+", default=["sphere", "vase", "robot"])
    p.add_argument("--device", default="auto")
    p.add_argument("--atlas", type=int, default=512)
    p.add_argument("--iterations", type=int, default=800)
    p.add_argument("--fine-iterations", type=int, default=300)
    p.add_argument("--batch", type=int, default=4096)
    return p.parse_args()


def main() -> int:
    import numpy as np
    import torch
    from PIL import Image, ImageDraw, ImageFont

    from studio import environment, renderers
    from studio.camera import Camera
    from studio.captures import shoot
    from studio.device import device
    from studio.pinhole import Pinhole
    from studio.recover import recover, settings
    from studio.recover.examples import example, lamps
    from studio.shelter import shelter
    from studio.surface.atlas import build_atlas
    from studio.texture import srgb_from_linear
    from tests.bench.recover import EXPOSURE_EV, value

    args = arguments()
    rasterizer, _ = renderers.build("auto", device(args.device))
    known = environment.from_panorama(lamps(), name="lamps")
    sizes = {"iterations": args.iterations, "fine_iterations": args.fine_iterations, "batch_px": args.batch}
    chosen = settings("split", {**sizes, "atlas_px": args.atlas})
    font = ImageFont.load_default(13)
    across = SIDE + GAP
    sheet = Image.new("RGB", (2 * across * len(LIGHTS) - GAP, HEAD + across * len(args.examples) - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for i, light in enumerate(LIGHTS):
        draw.text((2 * across * i + 4, 3), f"{light}:  true  |  recovered", font=font, fill="black")
    for row, name in enumerate(args.examples):
        scene = example(name)
        shots = torch.from_numpy(np.load(args.pictures / f"{name}.npz")["shots"])
        capture = shoot.capture_of(scene.mesh, shoot.around(len(shots)), shots, exposure_ev=EXPOSURE_EV)
        found = value(recover(scene.mesh, capture, chosen, rasterizer, environment=known))
        atlas = build_atlas(scene.mesh, args.atlas).to(rasterizer.device)
        for column, light in enumerate(LIGHTS):
            for side, texture in enumerate((scene.texture(atlas), found.texture.to(rasterizer.device))):
                camera = Pinhole.of(Camera(azimuth_deg=30.0 + 20 * column, elevation_deg=12.0, distance=2.9))
                stand = shoot.Studio(scene.mesh, atlas, texture, environment.load(light), rasterizer, shelter(scene.mesh))
                shown, alpha = stand.light(camera, SIDE, supersample=3)
                picture = torch.lerp(torch.full_like(shown, GROUND), srgb_from_linear(shown.clamp(0, 1)), alpha)
                picture = (picture * 255).round().byte().permute(1, 2, 0).cpu().numpy()
                sheet.paste(Image.fromarray(picture), ((2 * column + side) * across, HEAD + row * across))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(args.out, quality=QUALITY, method=6)
    return 0


if __name__ == "__main__":
    sys.exit(main())
