"""What the loader's and the engine's threads do when a mesh is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from studio.config import Config

if TYPE_CHECKING:
    from studio.surface.mesh import Mesh

Health = list[tuple[str, str, bool]]
"""(label, value in words, whether it deserves attention)."""


def read(path: Path) -> tuple[Mesh, Health]:
    """A file's mesh, looked over. Raises MeshError."""
    from studio.surface.mesh import load

    return examined(load(path))


def examined(mesh: Mesh) -> tuple[Mesh, Health]:
    """The mesh and its health report."""
    from studio.surface.health import health

    return mesh, health(mesh).rows()


def warm(mesh: Mesh, config: Config, wanted: Callable[[], bool]) -> None:
    """Do what a run does first, so that it need not: import the engine and the generator, prepare the mesh's surface."""
    import studio.view  # noqa: F401
    from studio.run import prepare

    config.generator.warm()
    for _ in prepare(config, mesh):
        if not wanted():
            break
