"""One texture of the evaluation: a caption painted on a subject, held against the truth that the corpus paints for it."""

from __future__ import annotations

import dataclasses
import random

from torch import Tensor

from studio.coverage import consistency_psnr, seam_error
from studio.generators._solid import Volumes
from studio.pretrain import corpus, effects, measures
from studio.pretrain.classifier import Classifier
from studio.pretrain.colours import COLOURS
from studio.pretrain.corpus import Sample
from studio.pretrain.effects import EFFECTS
from studio.pretrain.rows import Trial
from studio.pretrain.subjects import Subject
from studio.texture import Texture

SHOWN = 0.03
"""Part of the truth's surface that a colour must cover for it to be asked after."""
ENOUGH = 0.5
"""A colour is there when it covers at least so much of what it covers in truth."""
FAINT = ("faded", "dirty", "worn", "wet", "metallic")
"""Styles that change what colours are named."""


def tried(
    sample: Sample, subject: Subject, pictures: Tensor, texture: Tensor, *, volumes: Volumes, classifier: Classifier | None
) -> tuple[Trial, Tensor]:
    """What the pictures [V, 6, px, px] and the texture [S, 6, T, T] baked from them are worth, and the texture seen by the
    painting cameras [V, 6, px, px]."""
    seen = subject.baker.taps.fetch(texture)
    made, truth = subject.at_points(texture), subject.truth_points(sample, volumes)
    named, controls = _colours(sample, made, truth)
    asked, absent = _effects(sample, subject, made, volumes)
    real = subject.baker.bake(subject.truth_views(sample, volumes))
    inside = (subject.atlas.interior & subject.baker.painted)[:, None]
    mask = subject.rig[:, 6:7]
    found = None if classifier is None else classifier.named(seen.clamp(0, 1) * mask, mask)
    trial = Trial(
        caption=sample.caption,
        material=sample.material,
        held_out=not corpus.held_out().isdisjoint(sample.pairs),
        colours=named,
        controls=controls,
        taken_for=found,
        effect=asked,
        absent=absent,
        roughness=measures.apart(made[:, 3], truth[:, 3]),
        metallic=measures.apart(made[:, 4], truth[:, 4]),
        psnr=consistency_psnr(pictures[:, :3], subject.baker, as_texture(texture)),
        seam=seam_error(as_texture(texture), subject.cuts),
        true_seam=seam_error(as_texture(real), subject.cuts),
        fine=measures.fine_energy(texture[:, :3], inside),
        true_fine=measures.fine_energy(subject.truth_atlas(sample, volumes)[:, :3], inside),
    )
    return trial, seen


def as_texture(stack: Tensor) -> Texture:
    """Texels [S, 6, T, T] as a texture of nameless sets."""
    parts = stack.split([count for _, count in corpus.CHANNELS], 1)
    return Texture(("",) * len(stack), {name: part for (name, _), part in zip(corpus.CHANNELS, parts, strict=True)})


def _colours(sample: Sample, made: Tensor, truth: Tensor) -> tuple[list[bool], list[bool]]:
    """For every plain colour named, whether it is there; and for as many that are nowhere in the truth, whether they are."""
    told = [c for c in sample.colours if c in COLOURS]
    if sample.style in FAINT or not sample.exact:
        return [], []
    found, real = measures.shares(made[:, :3]), measures.shares(truth[:, :3])
    named = [c for c in told if real[c] > SHOWN]
    strange = [c for c in COLOURS if real[c] < 0.002]
    picked = random.Random(sample.caption).sample(strange, min(len(named), len(strange)))
    usual = [real[c] for c in named]
    return (
        [found[c] > ENOUGH * real[c] for c in named],
        [found[c] > ENOUGH * share for c, share in zip(picked, usual, strict=False)],
    )


def _effects(sample: Sample, subject: Subject, made: Tensor, volumes: Volumes) -> tuple[float | None, float | None]:
    """How much the asked effect, and one that was not asked, stands out in its place (`measures.contrast`). The latter is one of
    those with a look of their own, which needs no colour to be named."""
    bare = dataclasses.replace(sample, effect="", over_colour="")
    natural = {name: e for name, e in EFFECTS.items() if e.ragged}
    fit = [name for name, e in natural.items() if sample.material not in e.never and name != sample.effect]
    strange = random.Random(sample.caption).choice(fit)
    ground = subject.truth_points(sample, volumes)

    def stands_out(name: str, painted: Sample, without: Tensor) -> float | None:
        mask = effects.mask(name, subject.sparse[None], amount=painted.amount)[0, 0, 0, :, 0]
        return measures.contrast(made, without, subject.truth_points(painted, volumes), mask)

    asked = None
    if sample.effect:
        asked = stands_out(sample.effect, sample, subject.truth_points(bare, volumes))
    other = dataclasses.replace(bare, effect=strange, over=EFFECTS[strange].own, amount=1.0)
    return asked, stands_out(strange, other, ground)
