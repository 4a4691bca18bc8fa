"""The project file: mesh, settings, texture, LoRA and the story of the run in one zip, the same on a desktop and a server.

    document.toml           settings, and a table [project] with the mesh's name and sha256
    mesh/…                  the mesh file and what it refers to, byte for byte
    loras/…                 the LoRAs that are in use, byte for byte
    masks/…                 the pictures that say what is locked and where rewards push, byte for byte
    uv.npy                  the UVs that were laid out, where they are not the file's
    texture.json            texture sets and channels
    texture/<n>_<channel>.png       8 bits, height 16
    lora.safetensors        the learned LoRA, as a file of its own
    checkpoint.safetensors  what a run continues from
    story.json              curves, markers, journal

Files from elsewhere are read with suspicion: names that leave the archive, sizes that lie and pickles have no way in.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from studio import __version__, archive, files, lora, resources
from studio.config import Config, parse
from studio.document import Document
from studio.errors import MeshError, StudioError
from studio.progress import PAINTED

if TYPE_CHECKING:
    from torch import Tensor

    from studio.surface.mesh import Mesh
    from studio.texture import Texture

SUFFIX = ".patina"
FORMAT = 1
UNPACKED = 20
"""Meshes of so many projects stay unpacked in the cache."""
DAMAGED = "Open another copy, or begin anew from its mesh."


@dataclass(frozen=True, eq=False)
class Project:
    """What a project file holds."""

    document: Document
    mesh: Mesh | None = None
    """As it is painted; needed to save. A project that was read has it as a file alone."""
    texture: Texture | None = None
    corner_uv: np.ndarray | None = None
    """[F, 3, 2], where the UVs are not the mesh file's."""
    lora: Mapping[str, Tensor] = field(default_factory=dict)
    checkpoint: Mapping[str, Any] | None = None
    curves: Mapping[str, list[tuple[int, float]]] = field(default_factory=dict)
    markers: list[tuple[int, str]] = field(default_factory=list)
    journal: list[Any] = field(default_factory=list)
    """The live settings over the iterations, as `Objective.journal`."""
    painted: frozenset[str] = PAINTED
    """The channels of `texture` that a generator has painted."""

    def receipt(self) -> dict[str, Any]:
        """How the texture came about, for an exported file's metadata."""
        config, (_, learned) = self.document.config, lora.taught(self.checkpoint)
        return {
            "prompt": config.prompt,
            "seed": config.seed,
            "config": config.public().table(),
            "weights": [{"iteration": i, **settings} for i, settings in self.journal],
            "scores": {name: curve[-1][1] for name, curve in self.curves.items() if curve},
            "versions": {"patina-studio": __version__},
            **({"learned": learned} if learned else {}),
        }


def opened(project: Project) -> Mesh:
    """The mesh of a project that was read, on the UVs it was painted on. Raises MeshError, also when these do not fit it."""
    from studio.surface.mesh import load as load_mesh

    mesh = load_mesh(project.document.mesh)
    if project.corner_uv is None:
        return mesh
    if project.corner_uv.shape != (len(mesh.faces), 3, 2) or not np.isfinite(project.corner_uv).all():
        raise MeshError("The UVs in this project do not fit its mesh.", DAMAGED)
    return mesh.with_uv(project.corner_uv, "The UVs are those that the studio has laid out.")


def laid_out(mesh: Mesh) -> np.ndarray | None:
    """The UVs [F, 3, 2] of a mesh where they are not its file's. Raises MeshError when that file is gone or has changed."""
    from studio.exporters._source import read

    return mesh.corner_uv if read(mesh).unwrapped else None


# -- writing ----------------------------------------------------------------------------------------------------------------


def save(project: Project, path: Path | str) -> Path:
    """Write a project whole or not at all. Raises OutputError, and MeshError when the mesh file is gone or has changed."""
    from studio.film import checkpoint_bytes

    mesh = project.mesh
    assert mesh is not None, "a project is saved with its mesh"
    contents: dict[str, bytes] = {}
    source = mesh.source
    contents[f"mesh/{source.path.name}"] = source.read()
    for file, _ in source.files:
        contents[f"mesh/{file.relative_to(source.path.parent.resolve()).as_posix()}"] = file.read_bytes()
    config, inner = _with_files(project.document.config)
    contents |= inner
    contents["document.toml"] = _document(config, mesh).encode()
    story = {"curves": project.curves, "markers": project.markers, "journal": project.journal}
    contents["story.json"] = json.dumps(files.jsonable(story)).encode()
    if project.corner_uv is not None:
        contents["uv.npy"] = _array_bytes(project.corner_uv)
    if project.texture is not None:
        contents |= _texture(project.texture, project.painted)
    if project.lora:
        contents["lora.safetensors"] = lora.encoded(project.lora, project.receipt())
    if project.checkpoint is not None:
        contents["checkpoint.safetensors"] = checkpoint_bytes(project.checkpoint)
    path = Path(path)
    with files.replacing(path) as temporary:
        archive.write(temporary, contents)
    return path


def _with_files(config: Config) -> tuple[Config, dict[str, bytes]]:
    """The settings with the places in the archive of masks and LoRAs, and these. One that is gone stays away: saving goes on."""
    names: dict[str, str] = {}
    contents: dict[str, bytes] = {}

    def inside(path: str, folder: str = "masks") -> str:
        source = Path(path)
        plain = re.sub(r"[^\w .-]", "_", source.name).strip(". ") or folder  # a name for every system
        try:
            data = source.read_bytes() if source.is_file() else b""
        except OSError:  # a name that no file can have, a disk that is gone
            data = b""
        digest = hashlib.sha256(data).hexdigest()[:16]
        name = names.setdefault(digest, f"{folder}/{digest}/{plain}") if data else f"{folder}/missing/{plain}"
        contents.update({name: data} if data else {})
        return name

    return config.with_masks(inside).with_loras(lambda path: inside(path, "loras")), contents


def _document(config: Config, mesh: Mesh) -> str:
    name = json.dumps(f"mesh/{mesh.source.path.name}")  # JSON's quoting is TOML's
    project = f'\n[project]\nformat = {FORMAT}\nstudio = "{__version__}"\nmesh = {name}\nsha256 = "{mesh.source.sha256}"\n'
    return config.to_toml() + project


def _texture(texture: Texture, painted: frozenset[str]) -> dict[str, bytes]:
    from studio.exporters._maps import pixels, png

    contents: dict[str, bytes] = {}
    for name, tensor in texture.channels.items():
        for s, layer in enumerate(tensor.detach().cpu()):
            if name == "height":
                data = png((layer[0].clamp(0, 1) * 65535).round().numpy().astype(np.uint16))
            else:
                data = png(pixels(layer).squeeze())
            contents[f"texture/{s}_{name}.png"] = data
    head = {"names": list(texture.names), "channels": list(texture.channels), "size_px": texture.size_px}
    head["painted"] = sorted(painted)
    return {**contents, "texture.json": json.dumps(head).encode()}


def _array_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


# -- reading ----------------------------------------------------------------------------------------------------------------


def load(path: Path | str) -> Project:
    """Read a project; its mesh is unpacked into the user's cache, where `document.mesh` points.

    Raises StudioError for what is no project, is damaged, comes from a newer studio, or is made to do harm.
    """
    path = Path(path)
    contents = archive.read(path)
    try:
        table = tomllib.loads(contents["document.toml"].decode())
        head = table.pop("project")
        name, sha256, form = str(head["mesh"]), str(head["sha256"]), int(head["format"])
        if form > FORMAT:
            raise StudioError(f"'{path.name}' was saved by a newer Patina Studio.", "Update this one to open it.")
        story = json.loads(contents.get("story.json", b"{}"))
        mesh = contents[name]
        curves = {str(k): [(int(i), float(v)) for i, v in curve if v is not None] for k, curve in story.get("curves", {}).items()}
        markers = [(int(i), str(said)) for i, said in story.get("markers", [])]
        journal = [(int(i), dict(settings)) for i, settings in story.get("journal", [])]
        uv = np.load(io.BytesIO(contents["uv.npy"]), allow_pickle=False) if "uv.npy" in contents else None
        texture = _read_texture(contents) if "texture.json" in contents else None
        painted = frozenset(map(str, json.loads(contents.get("texture.json", b"{}")).get("painted", PAINTED)))
        learned = _read_lora(contents.get("lora.safetensors"))
        checkpoint = _read_checkpoint(contents.get("checkpoint.safetensors"))
        lora.taught(checkpoint)  # raises for what is no checkpoint
    except StudioError:
        raise
    except Exception as error:  # whatever the readers stumble over in a file that anybody may have written
        raise StudioError(f"The project '{path.name}' is damaged ({type(error).__name__}).", DAMAGED) from error
    if hashlib.sha256(mesh).hexdigest() != sha256:
        raise MeshError(f"The mesh inside '{path.name}' is damaged.", DAMAGED)
    unpacked = _unpacked(contents, name)

    def outside(path: str, folder: str = "masks") -> str:
        # Whatever the settings say, it comes from the archive: a path of this computer would be saved with the next project.
        return str(unpacked[0] / folder / Path(path).parent.name / Path(path).name)

    config = parse(table).with_masks(outside).with_loras(lambda path: outside(path, "loras"))
    document = Document(unpacked[1], config)
    return Project(document, None, texture, uv, learned, checkpoint, curves, markers, journal, painted)


def _unpacked(contents: Mapping[str, bytes], name: str) -> tuple[Path, Path]:
    """A folder of the cache, named after the contents, that holds the mesh, its files, masks and LoRAs; and the mesh in it."""
    inside = {n: data for n, data in contents.items() if n.startswith(("mesh/", "masks/", "loras/"))}
    digest = hashlib.sha256(b"".join(n.encode() + hashlib.sha256(data).digest() for n, data in sorted(inside.items())))
    folder = resources.cache_dir() / "projects" / digest.hexdigest()[:24]
    _prune(folder)
    for inner, data in inside.items():
        target = _place(folder, inner)
        if not (target.is_file() and target.stat().st_size == len(data)):
            target.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(target, data)
    return folder, _place(folder, name)


def _place(folder: Path, inner: str) -> Path:
    """Where something of the archive lies in such a folder: the mesh's files at its top, as they refer to each other."""
    path = PurePosixPath(inner)
    return folder / (path.relative_to("mesh") if path.parts[0] == "mesh" else path)


def _prune(spared: Path) -> None:
    """Meshes of projects that were opened long ago go."""
    others = sorted((p for p in spared.parent.glob("*") if p != spared), key=lambda p: p.stat().st_mtime)
    for folder in others[: -UNPACKED + 1]:
        shutil.rmtree(folder, ignore_errors=True)


def _read_texture(contents: Mapping[str, bytes]) -> Texture:
    import torch

    from studio.surface.atlas import LARGEST_PX
    from studio.texture import CHANNELS, Texture

    head = json.loads(contents["texture.json"])
    names, size = tuple(map(str, head["names"])), int(head["size_px"])
    if not 8 <= size <= LARGEST_PX:
        raise ValueError(size)
    channels = {}
    for name in head["channels"]:
        layers = [_read_picture(contents[f"texture/{s}_{name}.png"], size, CHANNELS[name]) for s in range(len(names))]
        channels[name] = torch.from_numpy(np.stack(layers))
    return Texture(names, channels)


def _read_picture(data: bytes, size: int, components: int) -> np.ndarray:
    """[C, size, size] float32 in [0, 1]; the size is checked before any pixel is decoded."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
        if picture.size != (size, size):
            raise ValueError(picture.size)
        deep = picture.mode.startswith("I")
        numbers = np.asarray(picture if deep or components == 1 else picture.convert("RGB"))
    numbers = numbers.astype(np.float32) / (65535 if deep else 255)
    return np.ascontiguousarray(numbers[None] if numbers.ndim == 2 else numbers.transpose(2, 0, 1))


def _read_lora(data: bytes | None) -> dict[str, Tensor]:
    if data is None:
        return {}
    from safetensors.torch import load as safetensors

    return safetensors(data)


def _read_checkpoint(data: bytes | None) -> dict[str, Any] | None:
    from studio.film import checkpoint_from

    return checkpoint_from(data) if data is not None else None
