"""Is `mini` good? One table: `python -m studio.pretrain.evaluate --weights DIR --classifier DIR [--critic NAME] [--truth]`.

Sixty captions, two seeds each, on the sample meshes in turn: half of them show a pair of material and colour, or of material and
effect, that training never saw. Everything is measured on the baked texture. `--truth` puts what the corpus itself paints in the
generator's place, so that every measure shows what it gives for a perfect generator; `--shuffled` a generator whose text
encoder's weights are in random order, which must fall to chance. The critic that looks here (the held-out judge) trains nothing.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

from studio import device, resources
from studio.critics import SOCKET as CRITICS
from studio.critics import Eye
from studio.errors import StudioError
from studio.generators import _weights
from studio.generators._multiview import MultiView
from studio.generators._solid import Volumes
from studio.generators._words import DATA
from studio.pretrain import corpus
from studio.pretrain.classifier import Classifier
from studio.pretrain.corpus import Sample
from studio.pretrain.rows import CPU_SECONDS, DIVERSITY, GPU_SECONDS, MEMORY, ROWS, Trial, diverse, judged, table
from studio.pretrain.subjects import Subject
from studio.pretrain.trial import tried

PROMPTS, SEEDS, VIEWS, ATLAS_PX = 60, 2, 6, 1024
Maker = Callable[[Sample, Subject, int], Tensor]
"""(sample, subject, seed) → pictures [V, 6, px, px] in 0…1 of the subject's views."""
Texturer = Callable[[Sample, Subject, int], tuple[Tensor, Tensor]]
"""The same, and the texture [S, 6, T, T] made of them."""


def prompts(count: int = PROMPTS) -> list[Sample]:
    """The same captions always: every second one shows a held-out pair, materials change from each to the next; their colours
    are exact, and half of them have an effect."""
    r = random.Random("evaluation")
    out: list[Sample] = []
    used: list[str] = []
    while len(out) < count:
        s = corpus.draw(r, 1, held_out=len(out) % 2 == 1)[0]
        if s.exact and s.material not in used[-30:] and bool(s.effect) == (len(out) // 2 % 2 == 0):
            out.append(s)
            used.append(s.material)
    return out


def other(sample: Sample, seed: int) -> Sample:
    """Another object of the same caption: the pattern elsewhere, a little larger or smaller; seed 0 is the sample itself."""
    if seed == 0:
        return sample
    r = random.Random(seed)
    return dataclasses.replace(sample, **corpus.frame(r, sample.scale))


def truthful(volumes: Volumes) -> Maker:
    """What the corpus paints."""
    return lambda sample, subject, seed: subject.truth_views(other(sample, seed), volumes)


def baked(make: Maker) -> Texturer:
    """Textures that hold what the pictures do."""

    def textured(sample: Sample, subject: Subject, seed: int) -> tuple[Tensor, Tensor]:
        pictures = make(sample, subject, seed)
        return pictures, subject.baker.bake(pictures)

    return textured


def painted_by(painter: MultiView) -> Maker:
    """What a generator paints."""
    return lambda sample, subject, seed: (
        painter.paint(painter.scene_of(sample.caption, subject.rig), seed=seed).float().clamp(0, 1)
    )


def textured_by(painter: MultiView) -> Texturer:
    """Finished textures of a generator. Raises StudioError when it does not paint all channels."""
    if len(painter.channels) != len(corpus.CHANNELS):
        raise StudioError("These weights paint base colour only.", "Evaluate weights that paint all channels.")

    def textured(sample: Sample, subject: Subject, seed: int) -> tuple[Tensor, Tensor]:
        scene = painter.scene_of(sample.caption, subject.rig)
        last, pictures = painter.painted(scene, seed=seed)
        pictures = pictures.float().clamp(0, 1)
        texture = subject.baker.bake(pictures)
        beyond = painter.detail(last, pictures, scene, atlas=subject.atlas, baker=subject.baker)
        return pictures, texture if beyond is None else (texture + beyond).clamp(0, 1)

    return textured


def loaded(weights: Path, *, steps: int, guidance: float, device: torch.device) -> MultiView:
    """The painter with these weights. Raises StudioError when they are missing or damaged."""
    network, vocabulary = _weights.load(weights)
    network.to(device, memory_format=torch.channels_last)
    return MultiView(network, vocabulary, steps=steps, guidance=guidance, eta=0.0)


def alone(args: argparse.Namespace, mesh: Path) -> dict[str, float]:
    """Seconds of one texture on two CPU cores and the peak memory of this process, which must be a fresh one."""
    torch.set_num_threads(2)
    cpu = torch.device("cpu")
    painter = loaded(args.weights, steps=args.steps, guidance=args.guidance, device=cpu)
    subject = Subject.load(mesh, view_px=painter.view_px, atlas_px=args.atlas, views=VIEWS, device=cpu)
    make, sample, took = textured_by(painter), prompts(1)[0], []
    for seed in range(2):
        start = time.perf_counter()
        make(sample, subject, seed)
        took.append(time.perf_counter() - start)
    return {CPU_SECONDS: min(took), MEMORY: device.peak_memory_bytes(cpu) / 1e9}


def shuffled(painter: MultiView, *, seed: int = 0) -> MultiView:
    """The same painter with every weight of its text encoder in random order."""
    blind = copy.copy(painter)
    blind.network = copy.deepcopy(painter.network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in blind.network.text.parameters():
            p.copy_(p.flatten()[torch.randperm(p.numel(), generator=generator).to(p.device)].view_as(p))
    return blind


def save_sheet(rows: Sequence[tuple[Tensor, Tensor]], path: Path, *, shown: int = 3, columns: int = 4) -> None:
    """A PNG of `columns` items a line; an item is (pictures [V, 3, h, w], mask [V, 1, h, w]), its first `shown` views on grey."""
    from PIL import Image

    strips = [torch.cat(list((p * m + 0.75 * (1 - m))[:shown]), -1).float().cpu() for p, m in rows]
    strips += [torch.full_like(strips[0], 0.75)] * (-len(strips) % columns)
    lines = [torch.cat(strips[i : i + columns], -1) for i in range(0, len(strips), columns)]
    sheet = torch.cat(lines, -2).clamp(0, 1).mul(255).round().byte().movedim(0, -1).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)


def measured(
    make: Texturer,
    subjects: Sequence[Subject],
    samples: Sequence[Sample],
    *,
    volumes: Volumes,
    classifier: Classifier | None,
    seeds: int = SEEDS,
) -> tuple[list[Trial], list[tuple[Tensor, Tensor]]]:
    """A trial for every caption and seed, and the re-rendered textures of seed 0 with their masks."""
    trials, kept = [], []
    for i, sample in enumerate(samples):
        subject = subjects[i % len(subjects)]
        for seed in range(seeds):
            start = _clock(subject)
            pictures, texture = make(sample, subject, seed)
            seconds = _clock(subject) - start
            trial, seen = tried(sample, subject, pictures, texture, volumes=volumes, classifier=classifier)
            trials.append(dataclasses.replace(trial, seed=seed, seconds=seconds))
            if seed == 0:
                kept.append((seen[:2, :3], subject.rig[:2, 6:7]))
    return trials, kept


def _clock(subject: Subject) -> float:
    if subject.rig.is_cuda:
        torch.cuda.synchronize(subject.rig.device)
    return time.perf_counter()


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="python -m studio.pretrain.evaluate", description="Measure the bundled generator.")
    p.add_argument("--weights", type=Path, default=DATA, help="folder with the generator's weights")
    p.add_argument("--classifier", type=Path, default=None, help="folder of the judge of materials; its rows are empty without")
    p.add_argument("--critic", default=None, help="held-out critic for the rows on diversity and captions, such as judge")
    who = p.add_mutually_exclusive_group()
    who.add_argument("--truth", action="store_true", help="measure what the corpus paints instead of a generator")
    who.add_argument("--shuffled", action="store_true", help="measure a generator that cannot read")
    p.add_argument("--out", type=Path, default=Path("build/evaluation"), help="folder for pictures and numbers")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--steps", type=int, default=4, help="denoising steps")
    p.add_argument("--guidance", type=float, default=1.0)
    p.add_argument("--prompts", type=int, default=PROMPTS, help="only the first so many")
    p.add_argument("--seeds", type=int, default=SEEDS, help="textures per prompt")
    p.add_argument("--meshes", type=Path, nargs="+", default=None, help="meshes in turn (the samples that ship)")
    p.add_argument("--atlas", type=int, default=ATLAS_PX, help="side of the atlas")
    return p.parse_args(argv)


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Print the table, write `table.json`, `trials.json` and `sheet.png`; the rows by name."""
    args = arguments(argv)
    where = device.device(args.device)
    volumes = Volumes.make(where)
    view_px = 256
    painter = None if args.truth else loaded(args.weights, steps=args.steps, guidance=args.guidance, device=where)
    if painter is not None:
        view_px, painter = painter.view_px, shuffled(painter) if args.shuffled else painter
    make = truthful(volumes) if painter is None else painted_by(painter)
    texturer = baked(make) if painter is None else textured_by(painter)
    classifier = None if args.classifier is None else Classifier.load(args.classifier).to(where)
    eye: Eye | None = None if args.critic is None else CRITICS.make(args.critic).build(device=where)
    paths = args.meshes or [resources.sample(name) for name in resources.sample_names()]
    subjects = [Subject.load(p, view_px=view_px, atlas_px=args.atlas, views=VIEWS, device=where) for p in paths]
    samples = prompts(args.prompts)
    measured(texturer, subjects[:1], samples[:1], volumes=volumes, classifier=classifier, seeds=1)  # warms the device up
    trials, kept = measured(texturer, subjects, samples, volumes=volumes, classifier=classifier, seeds=args.seeds)
    found = {row.name: row.of(trials) for row in ROWS}
    if eye is not None:
        found[DIVERSITY] = diverse(make, truthful(volumes), eye, subjects, samples)
        found |= judged(truthful(volumes), eye, subjects)
    if where.type == "cuda":
        found[GPU_SECONDS] = statistics.median(t.seconds for t in trials)
    if painter is not None:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            found |= pool.submit(alone, args, paths[0]).result()
    print(table(found), flush=True)
    save_sheet(kept, args.out / "sheet.png", shown=2, columns=4)
    known = {name: None if math.isnan(value) else value for name, value in found.items()}
    (args.out / "table.json").write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    told = [dataclasses.asdict(t) for t in trials]
    (args.out / "trials.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return found


if __name__ == "__main__":
    main()
