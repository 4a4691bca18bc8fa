"""Material recovery: pictures of a known mesh → its base colour, normal, roughness, metallic and occlusion, and the light.

*Separate and Specialize* on the lines of nvdiffrec (Munkberg et al. 2022, Extracting triangular 3D models, materials, and
lighting from images), with the mesh, its UVs and the cameras locked: what pictures show is drawn once, and learning is pure
shading by the viewport's split sum. Two branches over hash grids learn colour and normal, and roughness and metallic, on
schedules of their own; then the texels themselves take over.

What pictures cannot tell: a dielectric of albedo 0 and a metal of albedo 0.04 look exactly alike, so the metallic of black
surface is a guess (the low start says dielectric); and a light that is not known is found up to a factor, which base colour
takes up.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from studio.environment import Environment
from studio.errors import MeshError, StudioError
from studio.progress import Progress
from studio.recover.gbuffer import GBuffer, gather
from studio.recover.openness import openness
from studio.recover.solver import Scene, Solver
from studio.recover.texels import Texels, laid_out, texture_of
from studio.recovery import PRESETS, Settings, settings
from studio.shelter import shelter
from studio.surface.atlas import build_atlas
from studio.texture import Texture

if TYPE_CHECKING:
    from studio.captures import Capture
    from studio.renderers import Rasterizer
    from studio.surface.mesh import Mesh

__all__ = ["PRESETS", "Recovered", "Settings", "recover", "settings"]

PAINTED = frozenset({"base_color", "roughness", "metallic", "normal", "occlusion"})
PREVIEW_PX = 128
PREVIEWS = 10
"""How often, in each stage, the textures are shown as they stand."""
EARLY = (20, 60)
"""Steps after which they are shown, too: in a long recovery somebody waits for the first of them."""


@dataclass(frozen=True, eq=False)
class Recovered:
    """What recovery found."""

    texture: Texture
    """All channels of PAINTED; occlusion only where there is any."""
    seen: Tensor
    """[S, T, T] bool: the texels that some picture shows; the others take what the field says between them."""
    light: Environment
    """The light: the learned one, or the known one as it was given."""
    radiance: Tensor | None
    """[3, H, 2·H] linear, where the light was learned."""
    psnr: float
    """dB over all pixels that were used; says little by itself (the pictures can be right for wrong reasons)."""


def recover(
    mesh: Mesh,
    capture: Capture,
    chosen: Settings,
    rasterizer: Rasterizer,
    *,
    environment: Environment | None = None,
    truth: Texture | None = None,
    resume: Mapping[str, Any] | None = None,
) -> Generator[Progress, None, Recovered]:
    """Recover the materials of `mesh` from `capture` (cameras in the source's space), a step at a time.

    The light is learned where no `environment` is given. Where the `truth` is known, metrics hold the textures' error. Every
    step can be checkpointed, and `resume` continues from such a state to the same numbers. Raises StudioError for a mesh
    without UVs, pictures that show nothing of it, and a checkpoint of another recovery.
    """
    if mesh.corner_uv is None:
        raise MeshError("This mesh has no texture coordinates.", "Unwrap it first.")
    device = rasterizer.device
    light_name = None if environment is None else environment.name
    same = {"settings": asdict(chosen), "mesh": mesh.hash, "pictures": capture.hash, "light": light_name}
    if resume is not None and any(resume.get(name) != value for name, value in same.items()):
        remedy = "Give the same mesh, pictures, light and settings again, or start anew."
        raise StudioError("The checkpoint belongs to another recovery.", remedy)

    buffer = yield from _gathered(mesh, capture, chosen, rasterizer)
    yield Progress("laying out texels", 0, 1)
    atlas = laid_out(mesh, chosen.atlas_px).to(device)
    small = build_atlas(mesh, min(chosen.atlas_px, PREVIEW_PX)).to(device)
    baked = clear = None
    if chosen.occlusion == "baked":
        yield Progress("casting occlusion", 0, 1)
        baked, clear = openness(mesh), shelter(mesh).to(device)
    scene = Scene(
        buffer,
        clear,
        None if environment is None else environment.to(device),
        2.0**capture.exposure_ev,
    )
    solver = Solver(scene, chosen)
    names = tuple(material.name for material in mesh.sets)
    columns = 8 if chosen.occlusion == "learned" else 7
    begun = resume is not None and "texels" in resume["solver"]
    if resume is not None:
        solver.restore(resume["solver"], Texels(atlas, columns) if begun else None)
    done = 0 if resume is None else int(resume["done"])

    def state(done: int) -> dict[str, Any]:
        return {**same, "done": done, "solver": solver.state()}

    def preview() -> Texture:
        if solver.texels is not None:
            return texture_of(solver.texels.rows, atlas, names, None)
        shown = Texels(small, columns)
        for _ in shown.take(solver.field):
            pass
        return texture_of(shown.rows, small, names, None)

    total = chosen.iterations + chosen.fine_iterations
    yield from _looped(
        "learning materials", range(done, chosen.iterations), chosen.iterations, solver.step, state, preview, truth, mesh, 0
    )
    if solver.texels is None:
        texels = Texels(atlas, columns)
        for filled in texels.take(solver.field):
            yield Progress("baking textures", filled, texels.rows.shape[0])
        solver.begin_texels(texels)
    fine = range(max(done - chosen.iterations, 0), chosen.fine_iterations)
    yield from _looped(
        "refining texels", fine, chosen.fine_iterations, solver.fine_step, state, preview, truth, mesh, chosen.iterations
    )
    assert solver.texels is not None
    occlusion = None if baked is None else baked.over(atlas)
    texture = texture_of(solver.texels.rows, atlas, names, occlusion)
    seen, psnr = solver.seen_and_psnr(atlas)
    yield Progress("recovered", total, total, metrics={"psnr": psnr}, texture=texture, painted=PAINTED, mesh=mesh)
    with torch.no_grad():
        light = solver.environment()
        radiance = None if solver.light is None else solver.light.radiance.detach().cpu()
    return Recovered(texture.to("cpu"), seen.cpu(), light.to("cpu"), radiance, psnr)


def _gathered(mesh: Mesh, capture: Capture, chosen: Settings, rasterizer: Rasterizer) -> Generator[Progress, None, GBuffer]:
    steps = gather(mesh, capture.placed(mesh.T_work_source), rasterizer, ssaa=chosen.ssaa, background=chosen.background)
    while True:
        try:
            yield Progress("drawing views", next(steps), len(capture))
        except StopIteration as end:
            return end.value


def _looped(
    stage: str,
    numbers: range,
    total: int,
    step: Callable[[int], dict[str, float]],
    state: Callable[[int], dict[str, Any]],
    preview: Callable[[], Texture],
    truth: Texture | None,
    mesh: Mesh,
    before: int,
) -> Generator[Progress, None, None]:
    """Steps of one stage; `before` counts those of the stages before it."""
    every = max(total // PREVIEWS, 1)
    for number in numbers:
        metrics = step(number)
        texture = preview() if (number + 1) % every == 0 or number + 1 in EARLY else None
        if texture is not None and truth is not None:
            from studio.recover.compare import errors

            metrics |= {f"error {name}": value for name, value in errors(texture, truth).items()}
        yield Progress(
            stage,
            number + 1,
            total,
            metrics=metrics,
            texture=texture,
            painted=PAINTED,
            mesh=None if texture is None else mesh,
            checkpoint=partial(state, before + number + 1),
        )
