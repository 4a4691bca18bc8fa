"""The bundled generator: 16 million parameters, trained from scratch by `studio.pretrain`, six consistent views in seconds.

It knows a few hundred words (materials, patterns, colours, objects); `Painter.words` names those it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.generators import Generator, Painter, Words
from studio.plug import knob

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Mini(Generator):
    """The bundled generator: six consistent views in seconds, from a few hundred words of materials, patterns and colours."""

    steps: int = knob(4, "Denoising steps; more bring out fine grain, and are slower.", low=1, high=50)
    guidance: float = knob(1.0, "How strongly the prompt is exaggerated; above 1 a step takes twice as long.", low=1, high=8)
    eta: float = knob(0.0, "Fresh noise added at each step; 0 makes the picture depend on the seed alone.", low=0, high=1)
    negative: str = knob("", "Words to keep away from, such as rust, as 'no rust' in a prompt does; a step takes twice as long.")

    def build(self, *, device: torch.device, dtype: torch.dtype | None = None) -> Painter:
        import torch

        from studio.generators._multiview import MultiView
        from studio.generators._weights import load
        from studio.generators._words import DATA

        network, vocabulary = load(DATA)
        network.to(device, dtype or torch.float32, memory_format=torch.channels_last)
        settings = {"steps": self.steps, "guidance": self.guidance, "eta": self.eta, "negative": self.negative}
        return MultiView(network, vocabulary, **settings)

    def words(self, prompt: str) -> Words:
        from studio.generators._words import words

        return words(prompt, self.negative)

    def warm(self) -> None:
        import studio.generators._multiview  # noqa: F401

    def stages(self) -> Iterator[str]:
        yield "loading the bundled generator"
