"""The multi-view painter behind `mini` and `tiny`: a network, its schedule and its words behind the promise of a `Painter`.

The network (`_network`) denoises V pictures of one object together and predicts the clean picture x0. Classifier-free guidance
(2207.12598) may be held by the weights already, by distillation (2210.03142); a negative prompt takes the empty one's place.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.bake import texel
from studio.generators import Painter, Scene, Words, _detail, _fuse, _lora, _noise, _solid
from studio.generators._motifs import Motifs
from studio.generators._network import MASK, PATCH, Denoiser
from studio.generators._recorded import Recorded
from studio.generators._schedule import alpha_bar, ddim, soft_clamp, trailing
from studio.words import Vocabulary, asked, told

if TYPE_CHECKING:
    from studio.bake import Baker
    from studio.surface.atlas import Atlas
    from studio.surface.mesh import Mesh
    from studio.texture import Fragments

REFUSING = 2.0
"""The least guidance away from words that are refused: at 1 they would mean nothing."""
CHANNELS = ("base_color", "roughness", "metallic", "height")


class MultiView(Painter):
    """A `Denoiser` with its schedule; its latents are the pictures themselves in −1…1, or what its decoder reads.

    Where it has a frame, that follows the latents as further channels, which no step changes.
    """

    def __init__(
        self,
        network: Denoiser,
        vocabulary: Vocabulary,
        *,
        steps: int,
        guidance: float,
        eta: float,
        negative: str = "",
        fused: bool = False,
    ) -> None:
        """`negative`: words to keep away from, beside those that a prompt itself refuses ("no rust")."""
        size = network.size
        self.network = network.eval().requires_grad_(False)
        self.vocabulary, self.negative = vocabulary, negative
        self.view_px, self.steps, self.guidance, self.fused = size.view_px, steps, guidance, fused
        self.channels = CHANNELS if size.painted == 6 else CHANNELS[:1]
        self.views_meet_inside = not fused
        self._eta, self._times = eta, trailing(steps)
        self._kept: tuple[Tensor | None, Any] = (None, None)
        self._through = Recorded(self._guessed)
        tokens, reader = (size.tokens, size.text_channels), network.reader if size.inked else None
        self.adapters = _lora.Adapters(network.unet, tokens=tokens, reader=reader)

    @property
    def eta(self) -> float:
        return self._eta

    def words(self, prompt: str) -> Words:
        return told(self.vocabulary, prompt, negative=self.negative, length=self.network.size.tokens)

    def scene(self, prompt: str, fragments: Fragments, *, mesh: Mesh | None = None, baker: Baker | None = None) -> Scene:
        mask = fragments.mask[..., None]
        facts = [fragments.position, fragments.normal, mask.float()]
        if self.network.size.geometry > MASK + 1:
            if mesh is None:
                raise TypeError("this generator looks at the mesh's curvature and openness: it needs the mesh")
            facts.append(_facts(mesh, fragments))
        return self.scene_of(prompt, (torch.cat(facts, -1) * mask).movedim(-1, 1), baker=baker)

    def scene_of(self, prompt: str, geometry: Tensor, *, baker: Baker | None = None) -> Scene:
        """The same from the geometry [V, G, view_px, view_px] itself, zero outside the mask."""
        if self.fused and baker is None:
            raise TypeError("views fused in texture space need a baker")
        size, like = self.network.size, next(self.network.parameters())
        if geometry.shape[1:] != (size.geometry, self.view_px, self.view_px):
            raise TypeError(f"this generator paints views of {self.view_px} px, not of shape {tuple(geometry.shape)}")
        wanted, refused = asked(prompt, self.negative)
        prompts = [wanted] if self._weight(refused) == 1 else [wanted, refused]
        tokens = [self.vocabulary.tokens(p, length=size.tokens) for p in prompts]
        with torch.no_grad():
            text = self.network.text(torch.tensor(tokens, device=like.device))
        geometry = geometry.to(like.device, like.dtype)
        coupling, mask = baker if self.fused else None, geometry[:, MASK : MASK + 1]
        return Scene(len(geometry), text, geometry, mask, coupling, self._weight(refused))

    def _weight(self, refused: str) -> float:
        """How far to go from the other prediction through the prompt's; 1 where the weights' own guidance w is what is asked.

        With D = ∅ + w·(c − ∅) for every prompt, D₋ + (g/w)·(D − D₋) is guidance g when the other prompt is empty, and
        (g + w − 1)/w in place of g/w adds guidance g away from a refused one.
        """
        held = self.network.size.guidance
        return (max(self.guidance, REFUSING) + held - 1) / held if refused else self.guidance / held

    def paint(self, scene: Scene, *, seed: int) -> Tensor:
        """All steps without a graph: pictures [V, C, view_px, view_px] of this seed."""
        return self.painted(scene, seed=seed)[1]

    def painted(self, scene: Scene, *, seed: int) -> tuple[Tensor, Tensor]:
        """What entered the last step, and the pictures."""
        generator = torch.Generator().manual_seed(seed)
        x = last = self.noise(scene, generator=generator)
        with torch.no_grad():
            for i in range(self.steps):
                fresh = self.noise(scene, generator=generator) if self.eta > 0 and i + 1 < self.steps else None
                x, last = self.advance(x, self.predict(x, i, scene), i, scene, noise=fresh), x
            return last, self.decode(x, scene)

    def noise(self, scene: Scene, *, generator: torch.Generator) -> Tensor:
        shape, cell = self.network.noisy_shape(scene.views), self.network.size.cell
        if not cell:
            return torch.randn(shape, generator=generator).to(scene.geometry)
        white = _noise.drawn(self.network.places(scene.geometry), shape[1], cell=cell, generator=generator)
        return torch.cat([white, self._frame(scene, generator)], 1) if self.network.size.mixed else white

    def _frame(self, scene: Scene, generator: torch.Generator) -> Tensor:
        """The code [V, CODE, h, w] of a seed's frame; its unit is about what the prompt makes likely."""
        at, loose = _solid.place(generator), (2 * torch.rand((), generator=generator) - 1) * _solid.LOOSE
        with torch.no_grad():
            unit = (self.network.usual_unit(scene.text[:1]) + loose.to(scene.text)).exp2().clamp(*_solid.UNITS)
        return _solid.code(scene.geometry[:, :3], unit.expand(scene.views), at.to(scene.geometry).expand(scene.views, 3))

    def _seen(self, frame: Tensor, scene: Scene, views: slice) -> Tensor:
        """The fields of a frame, kept for the steps that follow."""
        last, known = self._kept
        if last is None or last.shape != frame.shape or not torch.equal(last, frame):
            normal, inside = scene.geometry[views, 3:MASK], scene.geometry[views, MASK : MASK + 1]
            known = _solid.seen(frame, normal, _solid.volumes(frame.device), patch=PATCH, inside=inside).to(frame)
            self._kept = frame.clone(), known
        return known

    def predict(self, x: Tensor, i: int, scene: Scene, *, views: slice = slice(None)) -> Tensor:
        geometry, count, sides = scene.geometry[views], len(x), len(scene.text)
        if not self.fused and count != scene.views:
            raise TypeError("views that attend to each other are predicted together")
        t = torch.full((sides * count,), self._times[i], device=x.device, dtype=x.dtype)
        text = self.adapters.read(scene.text).to(x).repeat_interleave(count, 0)
        x, frame = self._parted(x)
        fields = [self._seen(frame.detach(), scene, views)] if self.network.size.mixed else []
        x, geometry, *fields = (a if sides == 1 else a.repeat(sides, 1, 1, 1) for a in (x, geometry, *fields))
        x0 = self._through(x, geometry, t, text, *fields, count=count, under=self.adapters.taking_part)
        return x0.unflatten(0, (sides, count)).transpose(0, 1)

    def _guessed(self, x: Tensor, geometry: Tensor, t: Tensor, text: Tensor, *fields: Tensor, count: int) -> Tensor:
        """x0 of `count` views for every text, all with the inks of the first: guidance does not exaggerate them."""
        inks = self.network.reader(text[:1]) if self.network.size.inked else None
        views = 1 if self.fused else count
        return self.network(x, geometry, t, text, views=views, fields=next(iter(fields), None), inks=inks)[0]

    def guess(self, x: Tensor, prediction: Tensor, i: int, scene: Scene) -> Tensor:
        x0 = prediction[:, 0] if prediction.shape[1] == 1 else torch.lerp(prediction[:, 1], prediction[:, 0], scene.guidance)
        return x0 if scene.baker is None else _fuse.fused(x0, scene)

    def advance(
        self, x: Tensor, prediction: Tensor, i: int, scene: Scene, *, noise: Tensor | None, eta: float | None = None
    ) -> Tensor:
        x0 = self.guess(x, prediction, i, scene)
        now, then = self._times[i : i + 2]
        noisy, frame = self._parted(x)
        fresh = None if noise is None else self._parted(noise)[0]
        eta = self._eta if eta is None else eta
        after = ddim(noisy, x0, now=now, then=then, eta=eta, noise=fresh, shift=self.network.size.shift)
        return torch.cat([after, frame], 1) if self.network.size.mixed else after

    def signal(self, i: int) -> float:
        return float(alpha_bar(torch.tensor(self._times[i], dtype=torch.float64), shift=self.network.size.shift))

    def noised(self, x0: Tensor, i: int, *, noise: Tensor) -> Tensor:
        (clean, frame), (fresh, _), share = self._parted(x0), self._parted(noise), self.signal(i)
        noisy = math.sqrt(share) * clean + math.sqrt(1 - share) * fresh
        return torch.cat([noisy, frame], 1) if self.network.size.mixed else noisy

    @torch.no_grad()
    def detail(self, x: Tensor, pictures: Tensor, scene: Scene, *, atlas: Atlas, baker: Baker) -> Tensor | None:
        if not self.network.size.mixed:
            return None
        (noisy, frame), count = self._parted(x), scene.views
        fields, t = self._seen(frame, scene, slice(None)), torch.full((count,), self._times[-2]).to(x)
        text = self.adapters.read(scene.text)[:1].to(x).expand(count, -1, -1)
        views = 1 if self.fused else count
        features = self.network.features(noisy, scene.geometry, t, text, views=views, fields=fields)
        motifs = Motifs.of(features.split(self.network.head.parts, 1)[1:], fields.float())
        shares = torch.tanh(motifs.at(fields.float())[1]).permute(0, 2, 3, 1).flatten(1, 2)
        shares = F.pixel_shuffle(shares.unflatten(2, features.shape[2:]), PATCH)
        unit, place = _solid.decoded(frame.float(), scene.geometry[:, :3].float())
        drawing = _detail.Drawing(motifs, shares, scene.mask.float(), unit, place, PATCH)
        where = {"atlas": atlas, "baker": baker, "texel": texel(atlas)}
        return _detail.detail(drawing, pictures.float(), _solid.volumes(x.device), **where)

    def _parted(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is denoised, and the frame."""
        entering = self.network.size.latent or self.network.size.painted
        return x[:, :entering], x[:, entering:]

    def decode(self, x0: Tensor, scene: Scene, *, views: slice = slice(None)) -> Tensor:
        x0 = self._parted(x0)[0]
        drawn = self.network.decoder(x0, scene.geometry[views]) if self.network.size.latent else x0
        return soft_clamp(drawn * 0.5 + 0.5)

    @cached_property
    def fingerprint(self) -> str:
        return _lora.fingerprint(self.network)


def _facts(mesh: Mesh, fragments: Fragments) -> Tensor:
    """Mean curvature and openness [V, h, w, 2] where the fragments show the mesh, interpolated from its vertices."""
    corners = _at_vertices(mesh)[mesh.faces]
    found = torch.zeros(*fragments.mask.shape, 2, device=fragments.device)
    found[fragments.mask] = fragments.at_hits(torch.from_numpy(corners).float().to(fragments.device))
    return found


@lru_cache(maxsize=4)
def _at_vertices(mesh: Mesh) -> np.ndarray:
    """[N, 2] float32; kept, because a run makes a new scene for every prompt."""
    from studio.surface.ambient import openness
    from studio.surface.curvature import sharpness

    return np.stack([sharpness(mesh), openness(mesh)], -1)
