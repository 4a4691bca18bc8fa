"""Contact sheets: rows of pictures with headings on a dark page, and the sheet of a run: seeds as rows, before beside after."""

from __future__ import annotations

import bisect
import io
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from studio import files

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from torch import Tensor

    from studio.progress import Result
    from studio.surface.mesh import Mesh
    from studio.texture import Texture

CHARCOAL, BONE, ASH, ACCENT = "#1E1D1B", "#E9E4D8", "#9A958A", "#4FB5A0"
TILE_PX, GAP_PX, MARGIN_PX, LABEL_PX, CORNER_PX = 256, 10, 36, 150, 8
NOTE_PX = 19
ENVIRONMENT = "softbox"
VIEWS_DEG = ((-35.0, 18.0), (145.0, 18.0))
"""Azimuth and elevation of the two pictures of each texture: the front from its right, and the back."""


@dataclass(frozen=True, eq=False)
class Row:
    """A line of pictures [3, h, w] in sRGB (any size, shown square), its name, and small print under the name."""

    name: str
    pictures: Sequence[Tensor]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Heading:
    """The words over some neighbouring columns; `strong` ones are underlined in the accent colour."""

    words: str
    columns: int = 1
    strong: bool = False


def compose(title: str, headings: Sequence[Heading], rows: Sequence[Row], *, subtitle: str = "", footer: str = "") -> Image:
    """The page as a picture. All rows have as many pictures as the headings have columns."""
    from PIL import Image, ImageDraw

    count = sum(h.columns for h in headings)
    assert rows and all(len(row.pictures) == count for row in rows), "every row needs one picture per column"
    left = MARGIN_PX + LABEL_PX
    wide = max(len(headings) - 1, 0) * GAP_PX  # groups of columns stand twice as far apart
    width = left + count * (TILE_PX + GAP_PX) - GAP_PX + wide + MARGIN_PX
    top = MARGIN_PX + 92
    height = top + 34 + len(rows) * (TILE_PX + GAP_PX) - GAP_PX + (46 if footer else 0) + MARGIN_PX
    page = Image.new("RGB", (width, height), CHARCOAL)
    draw = ImageDraw.Draw(page)
    _write(draw, (MARGIN_PX, MARGIN_PX), title, 34, BONE, width - 2 * MARGIN_PX)
    _write(draw, (MARGIN_PX, MARGIN_PX + 50), subtitle, 17, ASH, width - 2 * MARGIN_PX)

    places, x = [], left
    for heading in headings:
        span = heading.columns * (TILE_PX + GAP_PX) - GAP_PX
        _write(draw, (x, top), heading.words, 18, ACCENT if heading.strong else BONE, span)
        if heading.strong:
            draw.rectangle((x, top + 27, x + span - 1, top + 28), fill=ACCENT)
        places += [x + i * (TILE_PX + GAP_PX) for i in range(heading.columns)]
        x += span + 2 * GAP_PX

    corners = Image.new("L", (4 * TILE_PX, 4 * TILE_PX))
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, 4 * TILE_PX - 1, 4 * TILE_PX - 1), 4 * CORNER_PX, fill=255)
    mask = corners.resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
    for i, row in enumerate(rows):
        y = top + 34 + i * (TILE_PX + GAP_PX)
        _write(draw, (MARGIN_PX, y + 4), row.name, 20, BONE, LABEL_PX - GAP_PX)
        for k, note in enumerate(row.notes):
            _write(draw, (MARGIN_PX, y + 36 + NOTE_PX * k), note, 14, ASH, LABEL_PX - GAP_PX)
        for place, picture in zip(places, row.pictures, strict=True):
            page.paste(_tile(picture), (place, y), mask)
    _write(draw, (MARGIN_PX, height - MARGIN_PX - 18), footer, 15, ASH, width - 2 * MARGIN_PX)
    return page


def write(path: Path, page: Image) -> Path:
    """Write a page as PNG. Raises OutputError."""
    file = io.BytesIO()
    page.save(file, "PNG")
    return files.write_bytes(path, file.getvalue())


def photographs(mesh: Mesh, textures: Sequence[Texture], *, device: str, renderer: str) -> list[list[Tensor]]:
    """For each texture the pictures from VIEWS_DEG and its atlas (all sets side by side), each [3, h, w] on the CPU.

    Raises DeviceError when the device or renderer cannot run.
    """
    from dataclasses import replace

    from studio import device as devices
    from studio import environment, renderers
    from studio.camera import Camera
    from studio.still import Stage
    from studio.surface.atlas import build_atlas

    where = devices.device(device)
    rasterizer, _ = renderers.build(renderer, where)
    atlas = build_atlas(mesh, textures[0].size_px).to(where)
    cameras = [replace(Camera(), azimuth_deg=a, elevation_deg=e) for a, e in VIEWS_DEG]
    stage = Stage(mesh, atlas, cameras, environment.load(ENVIRONMENT), rasterizer, TILE_PX)
    shown = []
    for texture in textures:
        views = stage(texture.to(where)).cpu()
        shown.append([*views, _side_by_side(texture.channels["base_color"].detach().cpu())])
    return shown


class Settings(Protocol):
    """What the sheet of a run says and needs of the run's settings."""

    @property
    def prompt(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def renderer(self) -> str: ...
    def weights(self) -> Mapping[str, float]: ...


def write_sheet(result: Result, config: Settings, path: Path) -> Path:
    """The sheet of a run: each held-out seed before and after learning and its atlas; without these the final texture alone.

    Raises OutputError when the place cannot be written, DeviceError as `photographs` does.
    """
    report = _followed(result.report, config.weights())
    textures = [*result.before, *result.after] or [result.texture]
    shown = photographs(result.mesh, textures, device=config.device, renderer=config.renderer)
    count = len(result.before)
    if not count:
        headings = [Heading("Painted", 2), Heading("Atlas")]
        rows = [Row(f"Seed {report['seed']}", shown[0], [f"{name} {value:.3f}" for name, value in report["after"].items()])]
        footer = f"{result.mesh.name}, coverage {report['coverage']:.1%}"
    else:
        headings = [Heading("Before learning", 2), Heading("After learning", 2, strong=True), Heading("Atlas after learning")]
        seeds = report["held_out_seeds"][:count]
        rows = [
            Row(f"Seed {seed}", [*before[:2], *after], _gains(report["per_seed"].get(str(seed), {})))
            for seed, before, after in zip(seeds, shown[:count], shown[count:], strict=True)
        ]
        learned = f"{result.mesh.name}, {len(report['steps'])} learning steps"
        footer = f"{learned}. The first held-out seeds in order: never trained on, none chosen."
    page = compose(f'"{config.prompt}"', headings, rows, subtitle=_means(report), footer=footer)
    return write(path, page)


def _side_by_side(sets: Tensor) -> Tensor:
    """S texture sets [S, 3, T, T] in a square grid [3, n·T, n·T], row by row; places left over have the page's colour."""
    import torch

    count, _, px, _ = sets.shape
    side = math.ceil(math.sqrt(count))
    page = torch.tensor(list(bytes.fromhex(CHARCOAL[1:]))) / 255
    cells = torch.cat([sets, page[None, :, None, None].expand(side * side - count, 3, px, px)])
    return cells.reshape(side, side, 3, px, px).permute(2, 0, 3, 1, 4).reshape(3, side * px, side * px)


def _followed(report: Mapping[str, Any], weights: Mapping[str, float]) -> Mapping[str, Any]:
    """The report with the scores of rewards that have a weight; with all of them where none has."""
    names = {name for name, weight in weights.items() if weight} or {*report["after"]}

    def part(scores: Mapping[str, Any]) -> dict[str, Any]:
        return {when: {k: v for k, v in scores.get(when, {}).items() if k in names} for when in ("before", "after")}

    return {**report, **part(report), "per_seed": {seed: part(scores) for seed, scores in report["per_seed"].items()}}


def _gains(scores: dict) -> list[str]:
    """Two lines per reward: its name, and its score before and after; of as many rewards as fit beside a picture."""
    after = scores.get("after", {})
    lines = [(name, f"{value:.3f} to {after[name]:.3f}") for name, value in scores.get("before", {}).items() if name in after]
    return [word for pair in lines[: (TILE_PX - 36) // (2 * NOTE_PX)] for word in pair]


def _means(report: Mapping[str, Any]) -> str:
    pairs = [(k, v, report["after"][k]) for k, v in report["before"].items() if k in report["after"]]
    seeds = len(report["held_out_seeds"])
    means = ",   ".join(f"{name} {before:.3f} to {after:.3f}" for name, before, after in pairs)
    if (kept := (report.get("diversity") or {}).get("kept")) is not None:
        means += f",   variety kept {kept:.0%}"
    return f"Mean of {seeds} held-out seeds:   {means}" if seeds and means else means


def _tile(picture: Tensor) -> Image:
    from PIL import Image

    pixels = (picture.detach().cpu().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)


def _write(draw: ImageDraw, at: tuple[int, int], words: str, size_px: int, color: str, width: int) -> None:
    """One line, cut with dots where it is too long. Pillow's own font has no accents: letters lose theirs."""
    from PIL import ImageFont

    plain = unicodedata.normalize("NFKD", " ".join(words.split()).replace("ß", "ss"))
    words = "".join(c if c.isascii() and c.isprintable() else "" if unicodedata.combining(c) else "?" for c in plain)
    font = ImageFont.load_default(size_px)
    if draw.textlength(words, font) > width:
        fits = bisect.bisect_right(range(1, len(words)), width, key=lambda n: draw.textlength(words[:n] + "...", font))
        words = words[:fits].rstrip() + "..."
    draw.text(at, words, fill=color, font=font)
