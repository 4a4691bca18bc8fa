"""The rows of the evaluation's table: what is demanded, what is hoped for, and how each is worked out from the trials."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.pretrain.measures import share, spread

if TYPE_CHECKING:
    from studio.critics import Eye
    from studio.pretrain.corpus import Sample
    from studio.pretrain.subjects import Subject

Bound = float | tuple[float, float]
STANDS_OUT = 0.35
"""Contrast from which an effect counts as there."""
FINE = 2e-5
"""Mean energy of fine detail under which a texture counts as smooth (an amplitude of half a percent)."""
DIVERSE, AMONG = 8, 64


@dataclass(frozen=True)
class Trial:
    """One texture. `colours`, `controls`: whether each asked and each strange colour is there; `taken_for`: the material that
    the classifier names, None without one; `effect`, `absent`: contrast of the asked effect and of one not asked, None where
    the mesh has no place for it; roughness and metallic: mean absolute errors; fine: energy of fine detail; seconds: painting
    and baking."""

    caption: str
    material: str
    held_out: bool
    colours: list[bool]
    controls: list[bool]
    taken_for: str | None
    effect: float | None
    absent: float | None
    roughness: float
    metallic: float
    psnr: float
    seam: float
    true_seam: float
    fine: float
    true_fine: float
    seed: int = 0
    seconds: float = math.nan


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else math.nan


def _named(trials: Sequence[Trial], *, held_out: bool | None = None) -> float:
    of = [t for t in trials if t.taken_for is not None and held_out in (None, t.held_out)]
    return share([t.taken_for == t.material for t in of])


def _effect(trials: Sequence[Trial]) -> float:
    there = share([t.effect > STANDS_OUT for t in trials if t.effect is not None])
    away = share([t.absent < STANDS_OUT for t in trials if t.absent is not None])
    return (there + away) / 2


def _seams(trials: Sequence[Trial]) -> float:
    return _mean([t.seam for t in trials]) / max(1e-9, _mean([t.true_seam for t in trials]))


def _detail(trials: Sequence[Trial]) -> float:
    """The median over what has fine detail in truth."""
    ratios = [t.fine / t.true_fine for t in trials if t.true_fine > FINE]
    return statistics.median(ratios) if ratios else math.nan


def _elsewhere(trials: Sequence[Trial]) -> float:
    """What the trials do not tell."""
    return math.nan


DIVERSITY, TOP, CLEAN = "diversity of 8 seeds / truth's", "critic: caption among 64, top-1", "critic: clean beats degraded"
GPU_SECONDS, CPU_SECONDS, MEMORY = "seconds a texture, GPU", "seconds a texture, 2 CPU cores", "peak memory on the CPU (GB)"


@dataclass(frozen=True)
class Row:
    """`must`, `aim`: bounds; the value must be at least (`most` False) or at most so much, or within a pair of bounds."""

    name: str
    of: Callable[[Sequence[Trial]], float]
    must: Bound
    aim: Bound
    most: bool = False

    def meets(self, value: float, bound: Bound) -> bool:
        """Whether the value keeps the bound; nan keeps none."""
        if math.isnan(value):
            return False
        low, high = bound if isinstance(bound, tuple) else (-math.inf, bound) if self.most else (bound, math.inf)
        return low <= value <= high

    def written(self, bound: Bound) -> str:
        return f"{bound[0]:g}–{bound[1]:g}" if isinstance(bound, tuple) else f"{'≤' if self.most else '≥'} {bound:g}"


ROWS = (
    Row("named colours present", lambda ts: share([c for t in ts for c in t.colours]), 0.92, 0.97),
    Row("colours not named (control)", lambda ts: share([c for t in ts for c in t.controls]), 0.15, 0.15, most=True),
    Row("material recognised", _named, 0.80, 0.92),
    Row("material recognised, held-out pairs", lambda ts: _named(ts, held_out=True), 0.65, 0.85),
    Row("effect there if asked, else not", _effect, 0.80, 0.92),
    Row("roughness error", lambda ts: _mean([t.roughness for t in ts]), 0.12, 0.06, most=True),
    Row("metallic error", lambda ts: _mean([t.metallic for t in ts]), 0.10, 0.04, most=True),
    Row("consistency of views (dB)", lambda ts: _mean([min(t.psnr, 60.0) for t in ts]), 25.0, 29.0),
    Row("seam error / truth's", _seams, 1.5, 1.1, most=True),
    Row("fine detail / truth's", _detail, (0.6, 1.4), (0.85, 1.15)),
    Row(DIVERSITY, _elsewhere, (0.5, 1.3), (0.8, 1.1)),
    Row(TOP, _elsewhere, 0.88, 0.95),
    Row(CLEAN, _elsewhere, 0.95, 0.98),
    Row(GPU_SECONDS, _elsewhere, 0.4, 0.15, most=True),
    Row(CPU_SECONDS, _elsewhere, 8.0, 4.0, most=True),
    Row(MEMORY, _elsewhere, 2.5, 1.8, most=True),
)


def table(found: dict[str, float]) -> str:
    """The rows as lines of text."""
    lines = [f"{'':38} {'value':>9} {'must':>12} {'aim':>12}"]
    for row in ROWS:
        if row.name not in found:
            continue
        value = found[row.name]
        said = "n/a" if math.isnan(value) else "MISSED"
        for word, bound in (("met", row.must), ("aim", row.aim)):
            said = word if row.meets(value, bound) else said
        lines.append(f"{row.name:38} {value:9.3f} {row.written(row.must):>12} {row.written(row.aim):>12}  {said}")
    return "\n".join(lines)


# -- what a critic sees -----------------------------------------------------------------------------------------------------

Make = Callable[["Sample", "Subject", int], Tensor]


def _looks(make: Make, sample: Sample, subject: Subject, seed: int) -> Tensor:
    """Two views [2, 3, px, px] on grey."""
    mask = subject.rig[:2, 6:7]
    return make(sample, subject, seed)[:2, :3] * mask + 0.5 * (1 - mask)


@torch.no_grad()
def diverse(make: Make, truth: Make, eye: Eye, subjects: Sequence[Subject], samples: Sequence[Sample]) -> float:
    """Mean distance of what DIVERSE seeds of as many captions look like, over that of true textures of the same captions."""
    apart = [0.0, 0.0]
    for i, sample in enumerate(samples[:DIVERSE]):
        subject = subjects[i % len(subjects)]
        for k, by in enumerate((make, truth)):
            seen = [eye.features(_looks(by, sample, subject, seed)).mean(0) for seed in range(DIVERSE)]
            apart[k] += spread(F.normalize(torch.stack(seen), dim=1))
    return apart[0] / max(apart[1], 1e-9)


@torch.no_grad()
def judged(truth: Make, eye: Eye, subjects: Sequence[Subject]) -> dict[str, float]:
    """The critic's own rows, on true textures of AMONG captions: how often the right caption scores best for a view, and how
    often the clean picture beats each damaged one."""
    from studio.pretrain.critic_report import distinct
    from studio.pretrain.degrade import KINDS, degraded

    samples = distinct(AMONG, seed=4_321)
    right, beaten = [], []
    for i, sample in enumerate(samples):
        subject = subjects[i % len(subjects)]
        seen = _looks(truth, sample, subject, 0)
        scores = torch.stack([eye.score(seen, s.caption) for s in samples], 1)
        right += (scores.argmax(1) == i).tolist()
        clean = eye.quality(seen)
        for kind in KINDS:
            beaten += (clean > eye.quality(degraded(seen, subject.rig[:2, 6:7], kind=kind))).tolist()
    return {TOP: share(right), CLEAN: share(beaten)}
