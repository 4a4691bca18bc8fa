"""Exporters: a textured mesh → files.

To add one, put a file here that holds one frozen dataclass of knobs, an `Exporter`. It receives an `Asset`, writes with
`studio.files` (whole files or none) and returns what it wrote. It never changes what it was not asked to paint: geometry, names,
scale and maps of the user's file stay as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from studio.plug import Socket

if TYPE_CHECKING:
    from torch import Tensor

    from studio.surface.mesh import Mesh
    from studio.texture import Texture


SIZES = (0, 512, 1024, 2048, 4096, 8192)
"""Sides of the textures an exporter can be asked for, in texels; 0 leaves them as they were painted."""


@dataclass(frozen=True, eq=False)
class Asset:
    """What there is to write: a mesh over its untouched source file, its texture, and how the texture came to be.

    `receipt` is JSON-able: prompt, seed, weights over time, scores, versions, renderer. `painted` names the channels that were
    worked on; of these, a texture set whose pixels are still the source's keeps its own maps. `lora` holds the learned adapter as
    CPU tensors under peft's names (empty when nothing was learned).
    """

    mesh: Mesh
    texture: Texture
    receipt: Mapping[str, object]
    painted: frozenset[str] = frozenset({"base_color"})
    lora: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """How far an export has come; `written` (the main file last) only on its last step."""

    done: int
    total: int
    written: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Exporter(ABC):
    """The promise of a file in this folder."""

    suffix: ClassVar[str]
    """Of the main file, with its dot."""
    needs_lora: ClassVar[bool] = False
    """True when only what a trainer has taught the generator is written."""

    @abstractmethod
    def write(self, asset: Asset, path: Path) -> list[Path]:
        """Write the asset and return all files written, the main one (`path`) last.

        Raises OutputError when the place cannot be written, StudioError when the asset lacks what this format holds, MeshError
        when the source file is gone or has changed since it was loaded.
        """

    def steps(self, asset: Asset, path: Path) -> Iterator[Step]:
        """`write`, a step at a time, for whoever shows how far it is; closed before the end, it leaves nothing behind.

        A format that takes longer than a moment has steps of its own.
        """
        yield Step(0, 1)
        yield Step(1, 1, tuple(self.write(asset, path)))


SOCKET: Socket[Exporter] = Socket(__name__, Exporter)
