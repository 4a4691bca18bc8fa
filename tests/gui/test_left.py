"""The left column and the run bar: how they look, what their controls do, and the arithmetic behind them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from studio import resources, rewards
from studio.config import Config, preset_names
from studio.generators import Words
from studio.gui.chips import Chip, chips, joined, replaced, rows, without, wrapped
from studio.gui.panels import _swatches, _thumbnails, mesh, prompt, training
from studio.gui.panels._part import entries, waiting
from studio.gui.panels.rewards import POINTS, colour, sparkline
from studio.gui.panels.run import progress, saying
from studio.session.pacing import Pace
from tests.gui.screen import told_by, why_not
from tests.meshes import quad, two_set_box

WORDS = Words(("blue", "and", "stripes"), (("velvet", "violet"), ("xyz", None)), ("stripes",))


# -- in a window --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if reason := why_not():
        pytest.skip(reason)
    return told_by("tests.gui.left", 1024, 1440, home=tmp_path_factory.mktemp("home"))


@pytest.mark.gui
def test_the_window_begins_with_something_to_do(shown: dict[str, Any]) -> None:
    items = shown["ready"]
    assert {"mesh.open", "mesh.sample.vase", "prompt.text", "prompt.chip.0", "rewards.presets", "run.start"} <= set(items)
    assert items["mesh.facts"]["value"] == mesh.facts(two_set_box(4))
    assert "run.where" not in items and items["prompt.text"]["value"]


@pytest.mark.gui
@pytest.mark.parametrize("scene", ["empty", "ready", "small", "narrow", "twice"])
def test_nothing_is_clipped(shown: dict[str, Any], scene: str) -> None:
    """Everything lies between the column's edges, and every button is wide enough for its words."""
    seen = {name: items for name, items in shown.items() if name.split()[0] == scene}
    assert [(name, tag) for name, items in seen.items() for tag, item in items.items() if not item["inside"]] == []
    if len(seen) > 1:  # section by section
        everything = set().union(*seen.values())
        assert {"rewards.symmetry.weight", "rewards.symmetry.eye", "run.where", "run.pace", "run.pending"} <= everything
        assert {"generator.choice", "trainer.choice", "run.atlas_px", "run.iterations", "prompt.seed"} <= everything


@pytest.mark.gui
def test_what_waits_for_the_next_start_is_said(shown: dict[str, Any]) -> None:
    assert shown["small mesh"]["run.pending"]["value"].startswith("From the next start on: seed, generator steps")
    assert "generator.pending" in shown["small generator"]


@pytest.mark.gui
def test_words_spheres_and_dice(shown: dict[str, Any]) -> None:
    used = shown["use"]
    assert used["typed"] == "marbel and rusty iron"
    assert used["chips"]["prompt.chip.0"] == "marbel" and used["chips"]["prompt.chip.0.instead"] == "→ marble?"
    assert used["instead"] == "marble and rusty iron" and used["material"] == "marble and rusty iron, molten lava"
    assert used["seed"] != 0 and used["undone"] == ["marble and rusty iron"] * 2


@pytest.mark.gui
def test_a_lora_has_a_row_with_a_slider_and_a_way_out(shown: dict[str, Any]) -> None:
    used = shown["use"]["lora"]
    assert used["rows"] == ["generator.lora.0.scale", "generator.lora.0.remove"]
    assert (used["moved"], used["reset"], used["left"]) == ([0.25], [1.0], [0, False])
    for scene in ("small", "narrow", "twice"):
        assert {"generator.lora.0.scale", "generator.lora.0.remove", "generator.lora.add"} <= set(shown[f"{scene} generator"])


@pytest.mark.gui
def test_settings_are_edited(shown: dict[str, Any]) -> None:
    used = shown["use"]
    assert used["presets"] == preset_names()
    assert used["preset"] == ["TextureDirect", False, True]
    assert used["added"] == [True, True] and used["removed"] == [False, False]
    assert used["weight"] == 1.75 and used["eye"] == "symmetry"
    assert used["colours"][0] == "#ff0080" and used["colours"][-1] == used["colours"][-2]
    assert used["generator"] == ["Tiny", True] and used["atlas"] == [2048, "2048 px"]
    assert used["devices"] == {"auto": True, "cpu": True, "mps": sys.platform == "darwin"}
    assert used["told"] == ["add a LoRA", "open mesh"] and used["layout"] == "3d+uv"
    assert "not symmetric" in used["refused"][0] and used["refused"][1:] == [False, True], "greyed, but it can be taken out"


# -- words --------------------------------------------------------------------------------------------------------------------


def test_chips_know_their_words() -> None:
    found = chips("Blue velvet and stripes, xyz stripes", WORDS)
    assert [(c.text, c.state) for c in found] == [
        ("Blue", "known"), ("velvet", "unknown"), ("and", "known"), ("stripes", "known"), ("xyz", "unknown"),
        ("stripes", "unread"),
    ]  # fmt: skip
    assert [c.instead for c in found if c.state == "unknown"] == ["violet", None]
    assert {c.state for c in chips("anything at all", None)} == {"plain"}


def test_edits_of_a_prompt() -> None:
    text = "blue, velvet, and stripes"
    blue, velvet, _, stripes = chips(text, WORDS)
    assert replaced(text, velvet, "violet") == "blue, violet, and stripes"
    assert without(text, velvet) == "blue, and stripes"
    assert without(text, stripes) == "blue, velvet, and" and without(text, blue) == "velvet, and stripes"
    assert without("alone", Chip("alone", 0, "known")) == ""
    assert joined("blue stripes. ", "lava") == "blue stripes, lava" and joined(" ", "lava") == "lava"


def test_text_and_chips_flow() -> None:
    assert wrapped("one two  three\nfour", 9, len) == "one two\nthree\nfour" and wrapped("", 9, len) == ""
    assert wrapped("incomprehensible it is", 6, len) == "incomprehensible\nit is"
    assert rows([4, 4, 4], 10, gap=2) == [[0, 1], [2]] and rows([20, 1], 10, gap=2) == [[0], [1]] and rows([], 10, gap=2) == []


def test_what_is_offered_is_understood() -> None:
    """Every example and every sphere speaks the bundled generator's language."""
    offered = [*prompt.EXAMPLES, *(m.words for m in _thumbnails.materials())]
    assert len(offered) > 20
    for text in offered:
        words = Config().generator.words(text)
        assert words is not None and not words.unknown and not words.unread, text


def test_pictures_that_ship() -> None:
    assert set(_thumbnails.samples()) <= set(resources.sample_names())
    files = [m.file for m in _thumbnails.materials()] + list(_thumbnails.samples().values())
    assert all(f.is_file() for f in files)
    assert _thumbnails.picture(files[0], 40).shape == (40, 40, 4)
    die = _thumbnails.die(16)
    shown = [[die[round(16 * y - 0.5), round(16 * x - 0.5), 3] > 0.4 for x in (0.31, 0.5, 0.69)] for y in (0.31, 0.5, 0.69)]
    assert die.shape == (16, 16, 4) and shown == [[True, False, True], [False, True, False], [True, False, True]]


# -- numbers ------------------------------------------------------------------------------------------------------------------


def test_a_sparkline_ends_with_the_newest() -> None:
    assert sparkline([0.3], 60, 20) == []
    assert sparkline([0.0, 1.0], 60, 20) == [(0, 20), (60, 0)] and sparkline([2, 2, 2], 60, 20) == [(0, 10), (60, 10)]
    points = sparkline([0.0] * 999 + [1.0], 60, 20)
    assert len(points) <= POINTS and points[-1] == (60, 0)
    assert all(0 <= x <= 60 and 0 <= y <= 20 for x, y in points)


def test_a_reward_has_the_colour_of_its_curve() -> None:
    """As the panel of the curves does it: by name, totals left out."""
    from studio.gui.panels.curves import ordered

    names = ["symmetry", "score", "alignment", "palette", "drift"]
    assert [n for n in ordered(names) if n not in ("score", "drift")] == ["alignment", "palette", "symmetry"]
    assert len({colour(n, names) for n in ("alignment", "palette", "symmetry")}) == 3
    assert colour("alignment", names) == colour("first", ["score"])


def test_how_far_a_run_is() -> None:
    now = Pace("sampling", 2, 8, 6, 24, 0.5, 36.0, 2**30, 2**34)
    assert progress(now, counts=True) == 0.25 and progress(now, counts=False) == 0.25 and progress(Pace(), counts=True) == 0
    where, speed = saying("running", now, counts=True)
    assert where.split("  ·  ") == ["Iteration 6/24", "Sampling 2/8"] and speed.split("  ·  ")[:2] == ["36 s left", "2.0 s/it"]
    assert saying("paused", now, counts=False)[0] == "Paused  ·  Sampling 2/8"
    assert saying("running", Pace("learning", 6, 24, 6, 24), counts=True)[0] == "Iteration 6/24  ·  Learning"
    assert saying("preparing", Pace(), counts=True) == ("Preparing", "")


def test_a_mesh_in_words() -> None:
    box, flat = two_set_box(4), quad()
    assert "2 materials" in mesh.facts(box) and mesh.facts(flat) == "2 triangles · 1 material"
    told = mesh.notices(box, [("Faces without area", "12", True), ("UVs", "fine", False)])
    assert told[-1] == "Worth a look: Faces without area."
    assert mesh.notices(flat.with_uv(flat.corner_uv, "Mended."), [])[0] == "Mended."  # type: ignore[arg-type]


def test_what_waits_is_said_where_it_belongs() -> None:
    pending = ("seed", "generator steps", "trainer", "palette colors")
    assert (
        waiting(pending, "generator") == "From the next start on: steps."
        and waiting(pending, "trainer") == "From the next start on: trainer."
    )
    assert waiting(pending) == "From the next start on: seed, generator steps, trainer, palette colors." and waiting(()) == ""


def test_lists_explain_themselves() -> None:
    found = entries(rewards.SOCKET, lambda kind: kind.description)  # type: ignore[attr-defined]
    assert [e.name for e in found] == rewards.SOCKET.names() and all(e.note.endswith(".") or e.why_not for e in found)

    class App:
        class session:
            loading, texture = "the engine", None

    assert all(e.why_not for e in training.rasterisers(App)[1:])  # type: ignore[arg-type]
    assert [e.name for e in training.devices(App)] == ["auto", "cpu", "cuda", "cuda:1", "mps"]  # type: ignore[arg-type]


def test_colours_of_a_palette() -> None:
    palette = rewards.SOCKET.make("palette")
    assert _swatches.colour_knobs(palette) == ("colors",) and _swatches.colour_knobs(rewards.SOCKET.make("symmetry")) == ()
    assert _swatches.rgb("#fc4") == (255, 204, 68) and _swatches.rgb("c77b4a") == (199, 123, 74)
    assert _swatches.code([c / 255 for c in (199, 123, 74, 255)]) == "#c77b4a"
