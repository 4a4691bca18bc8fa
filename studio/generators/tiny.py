"""A 100,000-parameter generator of mini's class with random weights: for presets, plugs and tests, in seconds.

It accepts every prompt and obeys none.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.generators import Generator, Painter, Words
from studio.plug import knob

if TYPE_CHECKING:
    import torch


_drawing = threading.Lock()
"""All threads draw from one source of random numbers: two that build at once would get each other's."""


@dataclass(frozen=True)
class Tiny(Generator):
    """Random weights, for trying out commands and for tests: it accepts every prompt and obeys none."""

    steps: int = knob(4, "Denoising steps.", low=1, high=50)
    guidance: float = knob(2.0, "Weight of the prompt against the empty prompt; 1 halves the time per step.", low=1, high=8)
    eta: float = knob(0.0, "Fresh noise added at each step; 0 makes the picture depend on the seed alone.", low=0, high=1)
    views: str = knob(
        "attend", "How views agree: attention inside the network, or fusion in texture space.", choices=("attend", "fused")
    )
    weights_seed: int = knob(0, "Seed of the random weights.", low=0)

    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Painter:
        import torch

        from studio.generators._multiview import MultiView
        from studio.generators._network import Denoiser, Size
        from studio.generators._words import DATA
        from studio.words import Vocabulary

        size = Size(view_px=64, channels=(8, 16, 16), heads=(1, 2, 2), head_channels=4, text_channels=16, text_layers=1, groups=4)
        vocabulary = Vocabulary.read(DATA / "vocabulary.txt")
        with _drawing, torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.weights_seed)
            network = Denoiser(size, len(vocabulary.words))
            network.head.leave.weight.data *= 5  # fresh weights paint near grey; this gives rewards something to see
        network.to(device, dtype or torch.float32)
        fused = self.views == "fused"
        return MultiView(network, vocabulary, steps=self.steps, guidance=self.guidance, eta=self.eta, fused=fused)

    def words(self, prompt: str) -> Words:
        from studio.generators._words import words

        return words(prompt)

    def warm(self) -> None:
        import studio.generators._multiview  # noqa: F401

    def stages(self) -> Iterator[str]:
        yield "making a random test generator"
