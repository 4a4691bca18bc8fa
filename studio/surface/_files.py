"""Files a mesh refers to: found only inside its own folder, and pictures measured before they are decoded."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import re
import warnings
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote

import numpy as np

from studio.errors import MeshError

MAX_FILE_BYTES = 2 << 30
MAX_DATA_URI_BYTES = 256 << 20
MAX_PICTURE_PX = 16384
"""Largest side of a picture."""

_FORMATS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"RIFF", "a RIFF file (a picture or a sound)"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a compressed archive"),
    (b"%PDF", "a PDF document"),
    (b"Kaydara FBX", "an FBX file"),
    (b"BLENDER", "a Blender file"),
    (b"glTF", "a GLB file"),
    (b"ply\n", "a PLY file"),
    (b"ply\r", "a PLY file"),
    (b"\xabKTX", "a KTX texture"),
)


class Outside(Exception):
    """A reference that leaves the mesh's folder."""


def really(data: bytes) -> str | None:
    """What a file's first bytes say it is, in words, or None."""
    return next((name for magic, name in _FORMATS if data.startswith(magic)), None)


def text(data: bytes) -> str:
    """UTF-8, or cp1252 as older exporters on Windows write it; a byte that is neither becomes a replacement character."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def read_limited(path: Path) -> bytes:
    """The bytes of a regular file. Raises MeshError when it is missing, no file, empty, unreadable or beyond 2 GiB."""
    try:
        if not path.exists():
            raise MeshError(f"There is no file '{path}'.", "Check the path.")
        if not path.is_file():
            raise MeshError(f"'{path}' is not a file.", "Give the path of a mesh file.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise MeshError(f"'{path}' is larger than 2 GB.", "Reduce the mesh, or split it into parts.")
        data = path.read_bytes()
    except OSError as e:
        raise MeshError(f"'{str(path)[:200]}' cannot be read: {e.strerror}.", "Check its path and permissions.") from None
    if not data:
        raise MeshError(f"'{path}' is empty (0 bytes).", "Export or download it again.")
    return data


class Folder:
    """The folder of a mesh, and a record of what was read from it."""

    def __init__(self, mesh: Path) -> None:
        self.root = mesh.parent.resolve()
        self.read_files: dict[Path, str] = {}
        self.pictures: dict[str, np.ndarray | None] = {}

    def resolve(self, reference: str) -> Path:
        """The file inside the folder that a relative reference names. Raises Outside for anything that leaves it."""
        plain = reference.strip().replace("\\", "/")
        windows = PureWindowsPath(plain)
        if (
            not plain
            or "\0" in plain
            or plain.startswith("/")
            or windows.drive
            or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", plain)
            or ".." in PurePosixPath(plain).parts
        ):
            raise Outside(reference)
        path = (self.root / plain).resolve()
        if not path.is_relative_to(self.root):
            raise Outside(reference)
        return path

    def read(self, reference: str) -> bytes:
        """The bytes of a referenced file. Raises Outside, or MeshError when it cannot be read."""
        path = self.resolve(reference)
        if not os.path.isfile(path):
            problem = f"The mesh refers to '{reference[:120]}', which is not in its folder."
            raise MeshError(problem, "Put all of its files into one folder, or export it as GLB.")
        data = read_limited(path)
        self.read_files[path] = hashlib.sha256(data).hexdigest()
        return data

    def read_uri(self, uri: str) -> bytes:
        """The bytes of a glTF `uri`: a `data:` URI, or a percent-encoded relative path. Raises as `read` does."""
        if uri[:5].lower() != "data:":
            return self.read(unquote(uri))
        head, comma, body = uri.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise MeshError("The mesh holds data in an encoding other than base64.", "Export it again as GLB.")
        if len(body) * 3 // 4 > MAX_DATA_URI_BYTES:
            raise MeshError("The mesh holds more than 256 MB of data inside its text.", "Export it again as GLB.")
        try:
            return base64.b64decode(unquote(body), validate=True)
        except (binascii.Error, ValueError):
            raise MeshError("The mesh holds damaged base64 data.", "Export it again as GLB.") from None

    def picture(self, data: bytes, name: str) -> np.ndarray | None:
        """`decoded`, once for each content.

        Raises MeshError as `decoded` does, and when all pictures of the mesh together exceed four of the largest size.
        """
        key = hashlib.sha256(data).hexdigest()
        if key not in self.pictures:
            self.pictures[key] = decoded(data, name)
            if sum(p.shape[0] * p.shape[1] for p in self.pictures.values() if p is not None) > 4 * MAX_PICTURE_PX**2:
                raise MeshError("The pictures of this mesh are too large together.", "Reduce them to 8192 × 8192 pixels or less.")
        return self.pictures[key]


def decoded(data: bytes, name: str) -> np.ndarray | None:
    """A picture [h, w, 3 or 4] uint8, row 0 at the top, or None when it cannot be decoded.

    Grey pictures of 16 bits or floating point are rounded to 8. Raises MeshError beyond 16384 px a side; the size is read from
    the header, before any pixel is decoded.
    """
    from PIL import Image, UnidentifiedImageError

    # The size is checked below for every picture, so Pillow's own, lower alarm would only refuse legal ones.
    Image.MAX_IMAGE_PIXELS = MAX_PICTURE_PX**2
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data))
        with opened:
            if max(opened.size) > MAX_PICTURE_PX:
                raise _too_large(name, f"{opened.size[0]} × {opened.size[1]} pixels")
            if opened.mode.startswith("I") or opened.mode == "F":
                high = 65535 if opened.mode.startswith("I") else 1
                grey = np.clip(np.asarray(opened).astype(np.float32) / high * 255 + 0.5, 0, 255).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=-1)
            transparent = opened.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in opened.info
            return np.asarray(opened.convert("RGBA" if transparent else "RGB"))
    except Image.DecompressionBombError:
        raise _too_large(name, "too many pixels") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, MemoryError, OverflowError):
        return None


def _too_large(name: str, size: str) -> MeshError:
    return MeshError(f"The picture '{name}' has {size}.", f"Reduce it to at most {MAX_PICTURE_PX} × {MAX_PICTURE_PX} pixels.")
