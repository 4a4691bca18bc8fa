"""Does the judge follow where a critic leads? `python tests/bench/attack.py --out DIR [--reward quality] [--glances 0 1 2]`.

Sample meshes are painted by the corpus; then their texels climb the reward towards another caption by 1/255 a step, and patina
and the judge look at clean pictures, from the reward's own cameras and from others. A table in z-scores over held-out renders;
0 glances are the reward views as they are. DIR keeps the shapes that those renders show.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from studio.camera import ring
from studio.critics import _data, _weights
from studio.generators._solid import Volumes
from studio.pretrain import corpus, critic_report
from studio.pretrain.batches import HELD_OUT, Batches
from studio.pretrain.session import Ranks
from studio.renderers import SOCKET as RENDERERS
from studio.reward_views import RewardViews
from studio.rewards import SOCKET, Look, _glances
from studio.surface.atlas import Atlas, build_atlas
from studio.surface.mesh import load
from studio.texture import Texture

SAMPLES = Path(__file__).parents[2] / "sample_meshes"
CASES = {"mug": (6, 9), "torus_knot": (11, 5), "vase": (3, 10), "mushroom": (20, 1), "rocket": (25, 31), "chair": (14, 37)}
"""For each mesh which captions paint it and attract it, among those drawn."""
VIEWS, ATLAS_PX = 6, 512
CPU = torch.device("cpu")

Opinion = Callable[[Tensor], Tensor]


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--rigs-file", type=Path, default=None, help="shapes that exist already, with --rigs as they were made")
    p.add_argument("--rigs", type=int, default=0)
    p.add_argument("--reward", choices=("prompt", "quality"), default="prompt")
    p.add_argument("--glances", type=int, nargs="*", default=[0, 1, 2])
    p.add_argument("--meshes", nargs="*", default=list(CASES))
    p.add_argument("--steps", type=int, default=50)
    p.add_argument("--seed", type=int, default=0)
    return p.parse_args()


def painted(name: str, sample: corpus.Sample, volumes: Volumes) -> tuple[Atlas, Texture, list[RewardViews]]:
    """A sample mesh as the corpus paints it, and its reward views from two sets of cameras."""
    mesh = load(SAMPLES / f"{name}.glb")
    atlas = build_atlas(mesh, ATLAS_PX)
    mask, even = atlas.valid[..., None].float(), torch.zeros_like(atlas.position[..., :1])
    facts = torch.cat([atlas.position, atlas.normal, mask, even, even + 0.9], -1).movedim(-1, 1)[:, None]
    channels = torch.cat([corpus.paint([sample], one[None], volumes)[:, 0] for one in facts])
    texture = Texture.flat(mesh, ATLAS_PX)
    for channel, texels in zip(("base_color", "roughness", "metallic"), channels.split([3, 1, 1, 1], 1), strict=False):
        texture = texture.with_channel(channel, atlas.dilated(texels))
    rasterizer = RENDERERS.make("embree").build(CPU)
    return atlas, texture, [RewardViews(mesh, atlas, texture, rasterizer, ring(VIEWS), seed=seed) for seed in (0, 5)]


def gains(
    case: tuple[Atlas, Texture, list[RewardViews]], prompt: str, args: argparse.Namespace, opinions: list[Opinion], glances: int
) -> tuple[Tensor, float]:
    """What each opinion gains, from the reward's cameras and from others [2, opinions]; processor seconds per step."""
    atlas, texture, views = case
    texels = texture.channels["base_color"]
    score = SOCKET.make(args.reward).build(None, atlas, CPU)  # type: ignore[arg-type]

    def opinion(colours: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.stack([torch.stack([o(torch.cat([c() for c in v(colours)])).mean() for o in opinions]) for v in views])

    before, start = opinion(texels), time.process_time()
    for step in range(args.steps):
        leaf = texels.detach().requires_grad_()
        pictures = torch.cat([chunk() for chunk in views[0](leaf)])
        value = score(Look(leaf, atlas, prompt, lambda shown=pictures: shown, step)) if glances else opinions[0](pictures).mean()
        texels = (leaf.detach() + torch.autograd.grad(value, leaf)[0].sign() / 255).clamp(0, 1)
    return opinion(texels) - before, (time.process_time() - start) / args.steps


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    eyes = [_weights.load(_data.DATA / name) for name in ("patina", "judge")]
    batches = Batches(args, Ranks.join("cpu"), learning=False)
    assert len(batches.held_out) == HELD_OUT
    rounds = critic_report.POOL // (critic_report.AMONG * critic_report.VIEWS)
    renders = torch.cat([pictures.flatten(0, 1) for _, pictures, _ in critic_report.rounds_of(batches, rounds)])
    samples = random.Random(4).sample(critic_report.distinct(critic_report.AMONG, seed=99), 40)
    prompts = {name: samples[CASES[name][1]].caption for name in args.meshes}
    with torch.no_grad():
        cases = {name: painted(name, samples[CASES[name][0]], batches.volumes) for name in args.meshes}
    print(f"{'glances':>8} {'patina':>7} {'judge':>13} {'elsewhere':>10} {'judge':>13} {'seconds':>8}")
    for glances in args.glances:
        _glances.GLANCES = glances or _glances.GLANCES
        found, seconds = [], []
        for name, case in cases.items():
            opinions, spread = [], []
            for eye in eyes:
                told = eye.quality if args.reward == "quality" else lambda x, e=eye, p=prompts[name]: e.score(x, p)
                opinions.append(told)
                with torch.no_grad():
                    spread.append(torch.cat([told(part) for part in renders.split(64)]).std())
            gain, s = gains(case, prompts[name], args, opinions, glances)
            found.append(gain / torch.stack(spread))
            seconds.append(s)
        (own, judged), (away, confirmed) = torch.stack(found).mean(0).tolist()
        shares = [f"{j:.2f} ({j / o:.0%})" for o, j in ((own, judged), (away, confirmed))]
        print(
            f"{glances:8d} {own:7.2f} {shares[0]:>13} {away:10.2f} {shares[1]:>13} {sum(seconds) / len(seconds):8.2f}", flush=True
        )


if __name__ == "__main__":
    main()
