"""The left column and the run bar in a bare window on a real session: `python -m tests.gui.left` prints what became of them.

One JSON object: for each scene the visible items' places, and after each act what the session said.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dearpygui.dearpygui as dpg

from studio import rewards
from studio.config import preset_names
from studio.gui.app import _arity
from studio.gui.layout import RUN, STATUS
from studio.gui.panels import SOCKET
from studio.gui.theme import Theme
from studio.session import Session
from studio.session.pacing import Pace
from studio.surface.health import health
from tests.meshes import two_set_box

NAMES = ("mesh", "prompt", "generator", "rewards", "training", "run")
SECTIONS = NAMES[:-1]
PREFIXES = (*NAMES, "trainer", "section")
SIZES = {"small": (720, 1.0, 320), "narrow": (720, 1.0, 240), "twice": (1440, 2.0, 320)}
"""Height of the window, UI scale, unscaled width of the column."""
LISTS = ("rewards.presets", "rewards.add", "generator.choice", "trainer.choice", "run.atlas_px", "run.device", "run.renderer")
LONG = "velvet stripes of red and blue and green and white and black and yellow and orange and purple and teal and gold and grey"


class Window:
    """As much of the window as these panels use."""

    def __init__(self, height: int, scale: float, left: int, session: Session) -> None:
        self.theme, self.session, self.layout, self.told = Theme(scale), session, "3d", []
        self.theme.bind()
        px, told = self.theme.px, self.told
        self.canvas = SimpleNamespace(heat=None)
        self.canvas.set_heat = lambda name: setattr(self.canvas, "heat", name)
        self.dialogs = SimpleNamespace(open_mesh=lambda: told.append("open mesh"), open_path=lambda p: told.append(p.name))
        self.dialogs.add_lora = lambda: told.append("add a LoRA")
        low, width = height - px(STATUS), px(left)
        self.zones = {"left": (0, px(28), width, low - px(28) - px(RUN)), "run": (0, low - px(RUN), width, px(RUN))}
        for zone, (x, y, w, h) in self.zones.items():
            dpg.add_window(tag=f"zone.{zone}", pos=(x, y), width=w, height=h, no_title_bar=True, no_resize=True)
        with dpg.window(pos=(width, 0)), dpg.tab_bar(tag="tabs"):
            dpg.add_tab(label="Atlas", tag="tab.atlas")
            dpg.add_tab(label="Health", tag="tab.health")
        self.updates: list[Callable[[], None]] = []
        for name in NAMES:
            kind = SOCKET.load(name)
            left_zone = kind.place == "left"
            section = left_zone and dpg.add_collapsing_header(
                label=kind.title, parent="zone.left", default_open=True, tag=f"section.{name}"
            )
            self.updates.append(kind().build(self, section or "zone.run"))  # type: ignore[arg-type]

    def set_layout(self, layout: str) -> None:
        self.layout = layout

    def show_tab(self, name: str) -> None:
        self.layout = "3d+uv"

    def wake(self) -> None:
        pass

    def frames(self, count: int = 2) -> None:
        for _ in range(count):
            for update in self.updates:
                update()
            dpg.render_dearpygui_frame()

    def act(self, tag: str, *values: Any, clicked: int | None = None) -> None:
        """What using this control does: its callback, with `values` as what dearpygui would give."""
        callback = dpg.get_item_callback(tag)
        assert callback is not None, tag
        given = (tag, *(values or (None,)), dpg.get_item_user_data(tag))
        callback(*given[: _arity(callback)])
        self.frames()

    def seen(self) -> dict[str, Any]:
        """Per visible item: whether it lies between its zone's left and right edge (in the run bar: inside), and its value."""
        items = {}
        for tag in dpg.get_aliases():
            mine = tag.split(".")[0] in PREFIXES and not any(tag.startswith(f"{popup}.") for popup in LISTS)
            state = dpg.get_item_state(tag) if mine else {}
            if not state.get("visible") or "rect_min" not in state:
                continue
            zone = "run" if tag in ("run.start", "run.step", "run.stop", "run.where", "run.pace", "run.pending") else "left"
            x, y, w, h = self.zones[zone]
            (left, top), (wide, tall) = state["rect_min"], state["rect_size"]
            inside = x <= left and left + wide <= x + w + 1 and (zone == "left" or y <= top and top + tall <= y + h + 1)
            label, font = dpg.get_item_label(tag), dpg.get_item_font(tag) or self.theme.text
            if dpg.get_item_type(tag) == "mvAppItemType::mvButton" and label:
                inside = inside and dpg.get_text_size(label, font=font)[0] <= wide
            items[tag] = {"inside": inside, "value": dpg.get_value(tag)}
        return items

    def close(self) -> None:
        for item in dpg.get_windows():
            if dpg.get_item_type(item) not in ("mvAppItemType::mvFontRegistry", "mvAppItemType::mvTheme"):
                dpg.delete_item(item)


def run(session: Session) -> None:
    """Make it look as if a run went on."""
    session.state = "running"
    session.pace = Pace("sampling", 5, 8, 7, 24, 0.31, 95.0, 2 * 2**30, 16 * 2**30)
    session.curves = {"symmetry": [(i, -1 / (i + 1)) for i in range(200)], "palette": [(0, -0.2)], "score": [(0, 1.0)]}
    session.shares = {"symmetry": 0.8, "palette": 0.2}
    session.pending = lambda: ("seed", "generator steps", "palette colors")  # type: ignore[method-assign]
    session.revision += 1


def use(window: Window) -> dict[str, Any]:
    """Use the controls; what the session says after each."""
    session, said = window.session, {}

    def config() -> Any:
        return session.document.config

    window.act("prompt.text", "marbel and rusty iron")
    said["typed"] = config().prompt
    said["chips"] = {tag: dpg.get_item_label(tag) for tag in dpg.get_aliases() if tag.startswith("prompt.chip.")}
    window.act("prompt.chip.0.instead")
    said["instead"] = config().prompt
    window.act("prompt.materials")
    window.frames()
    window.act("prompt.material.lava")
    said["material"] = config().prompt
    window.act("prompt.dice")
    said["seed"] = config().seed
    session.undo()
    session.undo()
    window.frames()
    said["undone"] = [config().prompt, " ".join(dpg.get_value("prompt.text").split())]

    window.act("rewards.presets")
    said["presets"] = [name for name in preset_names() if dpg.does_item_exist(f"rewards.presets.{name}")]
    window.act("rewards.presets.retouch", True)
    said["preset"] = [type(config().trainer).__name__, dpg.does_item_exist("trainer.k"), dpg.does_item_exist("trainer.rate")]
    window.act("rewards.add")
    others = [name for name in rewards.SOCKET.names() if dpg.does_item_exist(f"rewards.add.{name}")]
    window.act(f"rewards.add.{others[0]}", True)
    said["added"] = [others[0] in config().weights(), dpg.does_item_exist(f"rewards.{others[0]}.weight")]
    window.act(f"rewards.{others[0]}.remove")
    said["removed"] = [others[0] in config().weights(), dpg.does_item_exist(f"rewards.{others[0]}.weight")]
    window.act("rewards.symmetry.weight", 1.75)
    said["weight"] = config().weights()["symmetry"]
    window.act("rewards.symmetry.eye")
    said["eye"] = window.canvas.heat
    window.act("rewards.palette.more")
    window.act("rewards.palette.colors.0", [1.0, 0.0, 0.5, 1.0])
    window.act("rewards.palette.colors.add")
    palette = next(w.reward for w in config().rewards if w.name == "palette")
    said["colours"] = palette.colors  # type: ignore[attr-defined]
    window.act("generator.choice")
    window.act("generator.choice.tiny", True)
    said["generator"] = [type(config().generator).__name__, dpg.does_item_exist("generator.views")]
    said["lora"] = use_a_lora(window)
    window.act("run.atlas_px")
    window.act("run.atlas_px.2048", True)
    said["atlas"] = [config().atlas_px, dpg.get_item_label("run.atlas_px")]
    window.act("run.device")
    said["devices"] = {name: dpg.get_item_configuration(f"run.device.{name}")["enabled"] for name in ("auto", "cpu", "mps")}
    window.act("prompt.materials")
    window.act("mesh.open")
    window.act("mesh.health")
    refusals = {"symmetry": "'box' is not symmetric: its best mirror image is 3.10% of its size off, over 1%."}
    session.texture, session.survey.refusals = "some", lambda mesh: refusals  # type: ignore[assignment, method-assign]
    window.frames()
    free = [dpg.get_item_configuration(f"rewards.symmetry.{part}")["enabled"] for part in ("weight", "more")]
    said["refused"] = [dpg.get_value("rewards.symmetry.refused"), *free]
    said["told"], said["layout"] = window.told, window.layout
    return said


def use_a_lora(window: Window) -> dict[str, Any]:
    """What the session says of a LoRA of a file, of its slider and of the button that takes it out; one stays."""
    session, said, scale = window.session, {}, "generator.lora.0.scale"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "old copper with a long name.safetensors")
        file.write_bytes(lora_file("tiny@1"))
        for _ in range(2):
            session.add_lora(file)
            window.frames()
            window.act(scale, 0.25)
            said["moved"] = [one.scale for one in session.document.config.loras]
            dpg.get_item_user_data(scale)()  # what a right click does
            window.frames()
            said["reset"] = [one.scale for one in session.document.config.loras]
            said["rows"] = [tag for tag in dpg.get_aliases() if tag.startswith("generator.lora.0.")]
            session.commit()
            window.act("generator.lora.0.remove")
            said["left"] = [len(session.document.config.loras), dpg.does_item_exist(scale)]
        session.undo()
        window.frames()
    window.act("generator.lora.add")
    return said


def lora_file(base_model: str) -> bytes:
    """A LoRA of rank 1 with metadata, written byte by byte."""
    names = [f"unet.block.to_q.lora_{half}.weight" for half in "AB"]
    head: dict[str, Any] = {
        name: {"dtype": "F32", "shape": [1, 1], "data_offsets": [4 * i, 4 * i + 4]} for i, name in enumerate(names)
    }
    text = json.dumps({"__metadata__": {"base_model": base_model}, **head}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(8)


def main() -> None:
    dpg.create_context()
    dpg.configure_app(manual_callback_management=True)
    dpg.create_viewport(title="left", width=1000, height=1440, x_pos=0, y_pos=0, vsync=False, decorated=False)
    dpg.setup_dearpygui()
    dpg.show_viewport()
    said: dict[str, Any] = {}
    session = Session()
    for scene, (height, scale, left) in SIZES.items():
        window = Window(height, scale, left, session)
        window.frames(3)
        if scene == "small":
            said["empty"] = window.seen()
            session.mesh = two_set_box(4)
            session.health = health(session.mesh).rows()
            session.revision += 1
            window.frames()
            said["ready"] = window.seen()
            said["use"] = use(window)
            session.set_prompt(LONG)
            session.commit()
            run(session)
        window.frames(4)
        for name in SECTIONS:
            for other in SECTIONS:
                dpg.set_value(f"section.{other}", other == name)
            window.frames(3)
            top = window.seen()
            dpg.set_y_scroll("zone.left", dpg.get_y_scroll_max("zone.left"))
            window.frames(3)
            said[f"{scene} {name}"] = top | window.seen()
            dpg.set_y_scroll("zone.left", 0)
        window.close()
    print(json.dumps(said, default=str))
    dpg.destroy_context()


if __name__ == "__main__":
    main()
