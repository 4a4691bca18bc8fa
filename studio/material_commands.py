"""The commands around materials: `studio recover`, `capture`, `unpack`, `compare-materials` and `delight`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, arg

from studio.errors import StudioError


def _option(metavar: str) -> Any:
    return arg(metavar=metavar, help_behavior_hint="")


def recover(
    mesh: Annotated[Path | None, Positional, _option("MESH")] = None,
    images: Annotated[Path | None, Positional, _option("IMAGES")] = None,
    *,
    out: Annotated[Path, arg(metavar="DIR")],
    example: Annotated[str | None, _option("NAME")] = None,
    preset: Annotated[str, _option("P")] = "split",
    light: Annotated[str | None, _option("L")] = None,
    exposure: Annotated[str | None, _option("EV")] = None,
    convention: Annotated[str, _option("C")] = "opengl",
    iterations: Annotated[str | None, _option("N")] = None,
    fine_iterations: Annotated[str | None, _option("N")] = None,
    levels: Annotated[str | None, _option("2|4|8|16")] = None,
    atlas: Annotated[str | None, _option("PX")] = None,
    size: Annotated[str | None, _option("PX")] = None,
    batch: Annotated[str | None, _option("PX")] = None,
    ssaa: Annotated[str | None, _option("N")] = None,
    background: Annotated[str | None, _option("B")] = None,
    occlusion: Annotated[str | None, _option("O")] = None,
    seed: Annotated[str | None, _option("S")] = None,
    device: Annotated[str, _option("D")] = "auto",
    renderer: Annotated[str, _option("R")] = "auto",
    log: Annotated[Path | None, _option("TB_DIR")] = None,
    resume: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False,
) -> int:
    """Recover a mesh's materials from pictures of it: base colour, normal, roughness, metallic and occlusion maps, and the light.

    Args:
        mesh: The mesh the pictures show. Its UVs are kept; a mesh without any gets new ones.
        images: Their folder, with cameras: capture.json, transforms.json, poses_bounds.npy or a USD file.
        out: The folder for the maps, the light, a GLB and a report.
        example: Instead of a mesh and pictures: sphere, vase or robot, whose materials are known.
        preset: split; paper, the losses of Separate and Specialize; joint, plain nvdiffrec.
        light: The light the pictures were taken under: a name, an EXR or HDR file, or learn.
        exposure: The pictures' exposure under that light, in stops.
        convention: What the cameras' axes mean: opengl, opencv, z_up, left_handed, ...; a wrong one is found out and named.
        iterations: Steps of the two branches.
        fine_iterations: Steps of the texels afterwards.
        levels: Levels of the hash grids.
        atlas: Side of the textures.
        size: Larger pictures are scaled down to this.
        batch: Pixels of one step.
        ssaa: Samples per pixel and axis.
        background: What is behind the object: ignore, black or white.
        occlusion: baked, learned or none.
        seed: Which random pixels are drawn.
        device: Where to compute: auto, cpu, cuda, cuda:1 or mps.
        renderer: What draws: auto, embree or nvdiffrast.
        log: Write TensorBoard logs into this folder.
        resume: Continue the unfinished recovery whose checkpoint lies in the output folder.
    """
    from studio.captures import stops
    from studio.console import Interruption, ProgressLine
    from studio.materials import CHECKPOINT, Task, work
    from studio.recover import settings

    if (example is None) == (mesh is None or images is None):
        raise StudioError("Either a mesh and pictures of it, or an example, is needed.", "Give MESH IMAGES, or --example vase.")
    said = {
        "iterations": iterations,
        "fine_iterations": fine_iterations,
        "levels": levels,
        "atlas_px": atlas,
        "size_px": size,
        "batch_px": batch,
        "ssaa": ssaa,
        "background": background,
        "occlusion": occlusion,
        "seed": seed,
    }
    chosen = settings(preset, {name: value for name, value in said.items() if value is not None})
    exposure_ev = None if exposure is None else stops(exposure, of="The exposure")
    task = Task(chosen, mesh, images, example, light, exposure_ev, convention, device, renderer)
    line = ProgressLine()
    try:
        with Interruption(lambda: line.note("Stopping: what there is will be saved. Press again to stop at once.")) as heard:
            stop = lambda: heard.signal is not None  # noqa: E731
            written, report = work(task, out, log=log, resume=resume, show=line.show, stop=stop)
    except StudioError:
        if heard.signal is None:
            raise
        written, report = [], None  # a terminal's Ctrl-C reaches the studio's own processes too, such as the unwrapper
    finally:
        line.close()
    for path in written:
        print(path)
    if report is None:
        kept = (out / CHECKPOINT).exists()
        rest = "; give the same command with --resume to continue." if kept else " before there was anything to save."
        print(f"Stopped{rest}", file=sys.stderr)
        return 128 + (heard.signal or 0)
    print(f"The pictures are met to {report['psnr']:.1f} dB, and {report['seen']:.0%} of the surface was seen.")
    if "error" in report:
        told = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in report["error"].items())
        print(f"Off the truth by: {told}; {report['held_out_psnr']:.1f} dB under lights not seen before.")
    return 0


def capture(
    mesh: Annotated[Path, Positional, arg(metavar="MESH")],
    *,
    out: Annotated[Path, arg(metavar="DIR")],
    views: Annotated[int, _option("N")] = 50,
    size: Annotated[int, _option("PX")] = 512,
    atlas: Annotated[int, _option("PX")] = 1024,
    light: Annotated[str, _option("L")] = "softbox",
    exposure: Annotated[float, _option("EV")] = -1.0,
    device: Annotated[str, _option("D")] = "auto",
    renderer: Annotated[str, _option("R")] = "auto",
) -> int:
    """Photograph a textured mesh from all around, with cameras, for `studio recover` or any NeRF tool.

    Args:
        mesh: The mesh: GLB, glTF or OBJ with its maps.
        out: The folder for the pictures and capture.json.
        views: How many pictures.
        size: Their side in pixels.
        atlas: Side of the textures it is photographed with.
        light: A light's name, or an EXR or HDR file.
        exposure: In stops; environments have a mean radiance of 1.
        device: Where to compute: auto, cpu, cuda, cuda:1 or mps.
        renderer: What draws: auto, embree or nvdiffrast.
    """
    from studio.console import ProgressLine
    from studio.photography import photographed

    line = ProgressLine()
    options: dict[str, Any] = {"views": views, "size_px": size, "atlas_px": atlas, "light": light, "exposure_ev": exposure}
    steps = photographed(mesh, out, **options, device=device, renderer=renderer)
    try:
        while True:
            line.show(next(steps))
    except StopIteration as end:
        written = end.value
    finally:
        line.close()
    print(written)
    return 0


def unpack(
    mesh: Annotated[Path, Positional, arg(metavar="X.glb")],
    *,
    out: Annotated[Path | None, _option("DIR")] = None,
) -> int:
    """Write the maps packed in a mesh as separate pictures: base colour, roughness, metallic, occlusion.

    Args:
        mesh: A GLB, glTF or OBJ.
        out: The folder for the PNGs; a folder named after the mesh where none is given.
    """
    from studio import files
    from studio.recover.output import unpack as write
    from studio.surface.mesh import load

    read = load(mesh)
    folder = out or Path(f"{mesh.stem}-maps")
    with files.folder(folder):
        for path in write(read, folder):
            print(path)
    return 0


def compare_materials(
    a: Annotated[Path, Positional, arg(metavar="A")],
    b: Annotated[Path, Positional, arg(metavar="B")],
    *,
    atlas: Annotated[int, _option("PX")] = 1024,
    report: Annotated[Path | None, _option("R.json")] = None,
) -> int:
    """Compare the materials of two meshes, on the surface itself: per texel where the UVs agree, else at 100,000 points.

    Args:
        a: The truth.
        b: What is compared with it.
        atlas: Side of the textures that are compared.
        report: Write the numbers as JSON.
    """
    from studio import files
    from studio.recover.compare import compare
    from studio.surface.mesh import load

    if report:
        files.probe(report)  # before the work, not after it
    found = compare(load(a), load(b), size_px=atlas)
    if report:
        files.write_json(report, found)
    print(json.dumps(files.jsonable(found), indent=2))
    return 0


def delight(
    mesh: Annotated[Path, Positional, arg(metavar="MESH")],
    *,
    out: Annotated[Path, arg(metavar="X.glb")],
    atlas: Annotated[int, _option("PX")] = 1024,
) -> int:
    """Take light that is baked into a mesh's base colour out of it. Approximate: it rests on assumptions, which it tells.

    Args:
        mesh: A GLB, glTF or OBJ with a base colour map.
        out: The mesh with the base colour freed of light; the light is written beside it as EXR.
        atlas: Side of the texture that is split.
    """
    from studio.console import ProgressLine
    from studio.recover.delight import delighted

    line = ProgressLine()
    steps = delighted(mesh, out, atlas_px=atlas)
    try:
        while True:
            line.show(next(steps))
    except StopIteration as end:
        written = end.value
    finally:
        line.close()
    for path in written:
        print(path)
    return 0


COMMANDS = {"recover": recover, "capture": capture, "unpack": unpack, "compare-materials": compare_materials, "delight": delight}
"""By what a user types."""
