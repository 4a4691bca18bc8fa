"""nvdiffrast: rasterisation on an NVIDIA card.

Laine et al. 2020, Modular primitives for high-performance differentiable rendering; only its visibility is used here.

Its licence allows non-commercial use only; everything works without it. The package is source code that nvcc compiles at first
use (about 20 s, then cached); the extra `cuda-build` brings nvcc along, and it is found here by itself.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.errors import DeviceError
from studio.renderers import Band, Rasterizer, Renderer

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from studio.camera import Camera
    from studio.surface.mesh import Mesh

WINDOWS = os.name == "nt"


class NvdiffrastRasterizer(Rasterizer):
    """Rasterises on a CUDA device; the Fragments stay there."""

    name = "nvdiffrast"

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._contexts = threading.local()
        self._kept: tuple[Mesh, tuple[Tensor, Tensor]] | None = None
        self._context()

    def hits(self, mesh: Mesh, cameras: Sequence[Camera], px: int) -> Tensor:
        """See `Rasterizer.hits`; on the device."""
        import torch

        drawn = self._drawn(mesh, torch.stack([torch.from_numpy(T_raster_world(camera)) for camera in cameras]), px, px)
        return drawn[..., 3].int() - 1

    def surface(self, mesh: Mesh, camera: Camera, band: Band) -> tuple[Tensor, Tensor, Tensor]:
        """See `Rasterizer.surface`; on the device."""
        import numpy as np
        import torch

        T = T_raster_world(camera)
        T[0] *= band.height / band.width
        T[0] -= 2 * band.shift[0] / band.width * T[3]
        # The band's rows fill −1…1 of the height, of which the whole picture had them at top / height … (top + rows) / height.
        T[1] = (T[1] + T[3] * (1 - (2 * band.top + band.rows + 2 * band.shift[1]) / band.height)) * (band.height / band.rows)
        drawn = self._drawn(mesh, torch.from_numpy(np.ascontiguousarray(T))[None], band.rows, band.width).reshape(-1, 4)
        pixel = drawn[:, 3].nonzero()[:, 0]
        hit = drawn[pixel]
        return pixel, hit[:, 3].long() - 1, torch.stack([hit[:, 0], hit[:, 1], 1 - hit[:, 0] - hit[:, 1]], dim=1)

    def _drawn(self, mesh: Mesh, T: Tensor, rows: int, columns: int) -> Tensor:
        """Bary of the first and second corner, depth, face + 1 [V, rows, columns, 4], for world to clip T [V, 4, 4]."""
        import nvdiffrast.torch as dr
        import torch

        with torch.no_grad(), torch.autocast("cuda", enabled=False), torch.cuda.device(self.device):
            vertices, faces = self._uploaded(mesh)
            T = T.to(self.device)
            clip = vertices @ T[:, :, :3].mT + T[:, None, :, 3]
            try:
                drawn, _ = dr.rasterize(self._context(), clip.float().contiguous(), faces, (rows, columns), grad_db=False)
            except RuntimeError as error:  # nvdiffrast's own limits and the card's memory
                problem = f"nvdiffrast cannot draw {len(faces):,} faces at {rows} × {columns} pixels: {_first_line(error)}"
                raise DeviceError(problem, "Choose the renderer 'embree' or a smaller picture.") from error
        return drawn

    def _uploaded(self, mesh: Mesh) -> tuple[Tensor, Tensor]:
        """The mesh's vertices [N, 3] float64 and faces [F, 3] int32 on the device; the last mesh's are kept."""
        import torch

        if self._kept is None or self._kept[0] is not mesh:
            vertices = torch.tensor(mesh.vertices, dtype=torch.float64, device=self.device)
            self._kept = mesh, (vertices, torch.tensor(mesh.faces, dtype=torch.int32, device=self.device))
        return self._kept[1]

    def _context(self) -> Any:
        """This thread's rasteriser context."""
        if not hasattr(self._contexts, "context"):
            import nvdiffrast.torch as dr

            self._contexts.context = dr.RasterizeCudaContext(device=self.device)
        return self._contexts.context


def T_raster_world(camera: Camera) -> np.ndarray:
    """World to nvdiffrast's clip space [4, 4]: y down, so that its row 0 is the picture's top, z tight around the unit ball."""
    import numpy as np

    # Work space is the unit ball: seen from the eye it lies between these depths, wherever the camera looks.
    away = float(np.linalg.norm(camera.position()))
    T = camera.T_clip_world(near=max(away - 1, 0.01), far=away + 1)
    T[1] = -T[1]
    return T


@dataclass(frozen=True)
class Nvdiffrast(Renderer):
    """Rasterisation on an NVIDIA card, well under a millisecond a view (non-commercial licence)."""

    def build(self, device: torch.device) -> Rasterizer:
        """Compiles nvdiffrast at the first use on a machine. Raises DeviceError with the reason when that fails."""
        remedy = "Choose the renderer 'embree'; `studio doctor` shows what is missing."
        if device.type != "cuda":
            raise DeviceError(f"nvdiffrast draws on CUDA devices only, not on '{device}'.", "Choose the renderer 'embree'.")
        if reason := self.why_not():
            raise DeviceError(reason, remedy)
        try:
            with _compiling():
                return NvdiffrastRasterizer(device)
        except (ImportError, OSError, RuntimeError) as error:  # what compilers, linkers and drivers end in
            raise DeviceError(f"nvdiffrast could not be started: {_first_line(error)}", remedy) from error

    @classmethod
    def why_not(cls) -> str | None:
        """The reason why nvdiffrast cannot run here, or None. Looks for the tools, compiles nothing."""
        if importlib.util.find_spec("nvdiffrast") is None:
            return "nvdiffrast is not installed (pip install diffrp-nvdiffrast)."
        import torch

        if torch.version.cuda is None:
            return f"this PyTorch ({torch.__version__}) is built without CUDA."
        if not torch.cuda.is_available():
            return "PyTorch finds no usable NVIDIA card."
        if importlib.util.find_spec("_nvdiffrast_c") or _compiled():
            return None
        if cuda_home() is None:
            return "nvcc, which compiles nvdiffrast once, is not installed (pip install 'cuda-toolkit[nvcc,cccl]' ninja)."
        if compiler() is None:
            wanted = "Visual Studio Build Tools" if WINDOWS else "g++"
            return f"no C++ compiler, which nvdiffrast needs once, is installed ({wanted})."
        if shutil.which("ninja", path=_tools_path()) is None:
            return "ninja, which builds nvdiffrast once, is not installed (pip install ninja)."
        return None


def cuda_home() -> Path | None:
    """The folder whose bin/ holds nvcc: CUDA_HOME, the one on PATH, the usual place, or pip's nvidia wheels."""
    named = [Path(os.environ[name]) for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    on_path = shutil.which("nvcc")
    usual = [Path(on_path).resolve().parent.parent] if on_path else []
    usual += [] if WINDOWS else [Path("/usr/local/cuda")]
    spec = importlib.util.find_spec("nvidia")
    wheels = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
    folders = [d for w in wheels for d in sorted(w.glob("cu*"), reverse=True)]
    nvcc = Path("bin") / ("nvcc.exe" if WINDOWS else "nvcc")
    return next((home for home in (*named, *usual, *folders) if (home / nvcc).is_file()), None)


def compiler() -> str | None:
    """The C++ compiler that nvcc would use, or None."""
    if WINDOWS:  # nvdiffrast looks into Visual Studio's folder by itself
        found = Path(os.environ.get("ProgramFiles", "C:/Program Files"), "Microsoft Visual Studio").glob("*/*/VC/Tools/MSVC")
        return shutil.which("cl") or next((str(p) for p in found), None)
    return shutil.which(os.environ.get("CXX", "g++"))


def _compiled() -> bool:
    """Whether an earlier run left the compiled plugin for this PyTorch."""
    from importlib.metadata import version

    import torch
    from torch.utils import cpp_extension

    try:
        name = re.sub(r"\W", "_", f"nvdiffrast_plugin_{version('diffrp-nvdiffrast')}_torch{torch.__version__}")
        folder = Path(cpp_extension._get_build_directory(name, False))
    except (ImportError, OSError):  # another distribution of nvdiffrast, or no cache folder that can be written
        return False
    return any(folder.glob(f"{name}.*"))


@contextlib.contextmanager
def _compiling() -> Iterator[None]:
    """An environment in which nvdiffrast compiles and loads: nvcc, ninja and libcudart found, the built module importable."""
    from torch.utils import cpp_extension

    before = {name: os.environ.get(name) for name in ("PATH", "CUDA_HOME", "LIBRARY_PATH")}
    original, home_before = cpp_extension._import_module_from_library, cpp_extension.CUDA_HOME

    def registering(name: str, path: str, is_python_module: bool) -> Any:
        # nvdiffrast imports the plugin by name afterwards, which PyTorch 2.9 and later no longer makes possible.
        module = original(name, path, is_python_module)
        if is_python_module:
            sys.modules[name] = module
        return module

    with tempfile.TemporaryDirectory() as links:
        home = cuda_home()
        os.environ["PATH"] = _tools_path()
        if home is not None:
            os.environ["CUDA_HOME"] = cpp_extension.CUDA_HOME = str(home)
            # pip's wheels hold libcudart.so.13 only, and the linker is told -lcudart.
            for library in [] if WINDOWS else list((home / "lib").glob("libcudart.so.*")):
                with contextlib.suppress(FileExistsError):
                    (Path(links) / "libcudart.so").symlink_to(library)
            os.environ["LIBRARY_PATH"] = os.pathsep.join(filter(None, [links, before["LIBRARY_PATH"]]))
        cpp_extension._import_module_from_library = registering
        try:
            yield
        finally:
            cpp_extension._import_module_from_library, cpp_extension.CUDA_HOME = original, home_before
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _tools_path() -> str:
    """PATH with this Python's own programs, where pip puts ninja."""
    return os.pathsep.join(filter(None, [os.environ.get("PATH"), str(Path(sys.executable).parent)]))


def _first_line(error: Exception) -> str:
    """The first line of a message that may be pages of compiler output."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
