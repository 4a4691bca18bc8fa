"""The bars, the right column and the bottom row: how they look with nothing and with a run, and the arithmetic behind them."""

from __future__ import annotations

import csv
import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from studio.gui.panels import _axes, _flat, _icons, curves, film, health, picks, tools, views
from studio.gui.panels._flat import Look
from studio.gui.panels._words import duration, exposure, fitted, memory, named, number, pace, ticks
from studio.shot import CHANNELS
from studio.surface.mesh import Mesh
from tests.gui.screen import told_by, why_not
from tests.meshes import cube, quad, two_set_box

# -- in a window --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if reason := why_not():
        pytest.skip(reason)
    return told_by("tests.gui.right", 2560, 1440, home=tmp_path_factory.mktemp("home"))


@pytest.mark.gui
def test_before_a_run_every_panel_says_what_will_appear(shown: dict[str, Any]) -> None:
    items = shown["empty"]
    assert {"curves.empty", "film.empty", "atlas.empty", "tools.channel", "status.message"} <= set(items)
    assert not {"curves.full", "film.full", "atlas.full", "status.cancel"} & set(items)
    assert items["status.state"]["value"] == "Ready"


@pytest.mark.gui
@pytest.mark.parametrize("scene", ["small", "large", "twice"])
def test_nothing_is_clipped(shown: dict[str, Any], scene: str) -> None:
    """All controls lie inside their zones; the film's pictures scroll."""
    for tab in ("atlas", "views", "health"):
        items = shown[f"{scene} {tab}"]
        outside = [
            tag
            for tag, item in items.items()
            if not item["inside"] and not tag.startswith(("film.moment", "film.frame", "film.row"))
        ]
        assert outside == []
        assert {"curves.plot", "film.strip" if "film.strip" in items else "film.row", "status.cancel"} <= set(items)
    assert {"atlas.sheet", "atlas.set"} <= set(shown[f"{scene} atlas"])
    assert "views.picture" in shown[f"{scene} views"]


@pytest.mark.gui
@pytest.mark.parametrize("scene", ["small", "large", "twice"])
def test_recovery_scrolls_but_is_never_cut_at_the_side(shown: dict[str, Any], scene: str) -> None:
    items = {tag: item for tag, item in shown[f"{scene} recover"].items() if tag.startswith("recover.")}
    assert {"recover.open", "recover.start", "recover.stop", "recover.count", "recover.picture"} <= set(items)
    assert [tag for tag, item in items.items() if not item["across"]] == []
    assert items["recover.where"]["value"] == "Learning materials 123/800"
    assert items["recover.pace"]["value"] == "Pictures met to 31.4 dB  ·  1 min 35 s left"


@pytest.mark.gui
def test_a_narrow_bar_moves_tools_into_a_popup(shown: dict[str, Any]) -> None:
    assert "tools.more" in shown["small atlas"] and "tools.readout" not in shown["small atlas"]
    assert "tools.more" not in shown["large atlas"] and {"tools.readout", "tools.environment"} <= set(shown["large atlas"])


@pytest.mark.gui
def test_the_status_bar_has_every_number_with_its_unit(shown: dict[str, Any]) -> None:
    items = shown["large atlas"]
    said = {name: items[f"status.{name}"]["value"] for name in ("state", "step", "rate", "eta", "memory", "fps")}
    assert said.pop("step").endswith("23/60")
    assert said == {
        "state": "Running", "rate": "2.4 it/s", "eta": "1 min 35 s left", "memory": "3.0 / 15.5 GiB", "fps": "59 fps",
    }  # fmt: skip
    assert shown["bar"] == pytest.approx(23 / 60, abs=1e-4)


@pytest.mark.gui
def test_the_film_and_the_status_bar_give_commands(shown: dict[str, Any]) -> None:
    assert ["show_moment", 5] in shown["told"] and ["keep", 5] in shown["told"]
    assert ["cancel", "GLB vase.glb"] in shown["told"]
    assert "film.keep" not in shown["small atlas"] and "film.keep" in shown["chosen"]


@pytest.mark.gui
def test_panels_follow_what_changes(shown: dict[str, Any]) -> None:
    later = shown["later"]
    assert later["tools.channel"]["value"] == "UV checker"
    assert later["film.count"]["value"].startswith("10 moments")
    assert "curves.show.symmetry" in later and "curves.show.palette" not in later
    assert shown["fewer items"] > 40  # pictures, frames and lines that are gone have been deleted


@pytest.mark.gui
def test_learning_from_picks_is_followed(shown: dict[str, Any]) -> None:
    """There is no score: what tells how it goes is drawn instead. The film stays with the newest, however fast they come."""
    found = shown["learning from picks"]
    assert found["on"] == {"accuracy": True, "drift": False, "loss": True, "gradient": False}
    at, end = found["film"]
    assert at == end > 500


# -- words --------------------------------------------------------------------------------------------------------------------


def test_numbers_are_short_and_have_units() -> None:
    assert [duration(s) for s in (0.4, 59, 95, 3600, 4320)] == ["0 s", "59 s", "1 min 35 s", "1 h 00 min", "1 h 12 min"]
    assert [pace(p) for p in (0, 2.43, 0.5)] == ["", "2.4 it/s", "2.0 s/it"]
    assert memory(0, 0) == "" and memory(2**30, 0) == "1.0 GiB" and memory(2**30, 2**32) == "1.0 / 4.0 GiB"
    assert exposure(0.5) == "+0.5 EV" and exposure(-2) == "-2.0 EV"
    assert [number(x) for x in (0, 0.7131, -12.34, 2.1e-4, 3.2e5)] == ["0.000", "0.713", "−12.3", "2.1e-4", "3.2e5"]


def test_numbers_along_an_axis_keep_apart() -> None:
    assert ticks(0, 10, 6) == [0, 2, 4, 6, 8, 10] and ticks(1, 11, 3) == [5, 10] and ticks(3, 997, 4) == [200, 400, 600, 800]
    for first, last, most in ((0, 1, 9), (990, 1000, 2), (0, 123_456, 5), (12, 12, 0)):
        found = ticks(first, last, most)
        assert len(found) <= max(1, most) and all(first <= i <= last for i in found)


def test_long_words_end_in_an_ellipsis() -> None:
    assert fitted("message", 7, len) == "message"
    assert fitted("a long message", 8, len) == "a long…"
    assert fitted("message", 0.5, len) == ""


def test_every_channel_has_a_name_of_its_own() -> None:
    assert len({named(c) for c in CHANNELS}) == len(CHANNELS)
    assert named("lora_reward") == "LoRA reward" and named("base_color") == "Base color"


# -- tools --------------------------------------------------------------------------------------------------------------------


def test_the_least_important_tools_go_first() -> None:
    widths = {name: 10 for name in tools.FIRST_TO_GO} | {"channel": 10}
    room = sum(widths.values()) + 2 * (len(widths) - 1)
    assert tools.hidden(widths, room, gap=2, more=5, first_to_go=tools.FIRST_TO_GO) == set()
    assert tools.hidden(widths, room - 1, gap=2, more=5, first_to_go=tools.FIRST_TO_GO) == {"readout"}
    assert tools.hidden(widths, 1, gap=2, more=5, first_to_go=tools.FIRST_TO_GO) == set(tools.FIRST_TO_GO)


@pytest.mark.parametrize("name", list(_icons._DRAWN))
def test_icons_are_drawn_inside_their_square(name: str) -> None:
    alpha = _icons.icon(name, 16)[..., 3]
    assert 0.02 < alpha.mean() < 0.5 and alpha.max() > 0.6


# -- curves -------------------------------------------------------------------------------------------------------------------


def test_lines_stand_in_a_fixed_order() -> None:
    assert curves.ordered(["drift", "symmetry", "score", "palette"]) == ["score", "palette", "symmetry", "drift"]


def test_thinning_keeps_the_ends() -> None:
    points = [(i, float(i)) for i in range(1, 2001)]
    x, y = _axes.thinned(points)
    assert x == y and x[0] == 1 and x[-1] == 2000 and len(x) <= _axes.MOST_POINTS + 1
    assert _axes.thinned([(3, 0.5)]) == ([3.0, 3.0 + _axes.DASH], [0.5, 0.5])


def test_the_axis_stays_until_it_no_longer_fits() -> None:
    first = _axes.framed((0.2, 0.6), None)
    assert first[0] < 0.2 and first[1] > 0.6
    assert _axes.framed((0.25, 0.62), first) == first
    assert _axes.framed((0.2, 0.9), first)[1] > 0.9  # a value has left it
    assert _axes.framed((0.4, 0.45), first) != first  # far too wide
    low, high = _axes.framed((0.5, 0.5), None)
    assert high - low > 0.01


def test_csv_has_a_row_per_iteration(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    curves.write_csv(path, {"symmetry": [(1, 0.5), (2, 0.6)], "score": [(2, 0.6)]}, [(2, "weight 1 → 2"), (2, "k 1 → 4")])
    rows = list(csv.reader(path.open(encoding="utf-8")))
    assert rows == [
        ["iteration", "score", "symmetry", "change"],
        ["1", "", "0.5", ""],
        ["2", "0.6", "0.6", "weight 1 → 2; k 1 → 4"],
    ]


# -- pictures -----------------------------------------------------------------------------------------------------------------


def test_a_film_picture_lies_on_its_ground() -> None:
    picture = np.zeros((1, 2, 4), np.float32)
    picture[0, 1] = (1, 0, 0, 1)
    assert np.allclose(film.over(picture, (51, 102, 153, 255)), [[[0.2, 0.4, 0.6, 1], [1, 0, 0, 1]]])


@pytest.mark.parametrize(("width", "height", "across"), [(100, 1000, 1), (300, 400, 2), (600, 400, 3), (1000, 100, 6)])
def test_views_are_as_large_as_the_room_allows(width: int, height: int, across: int) -> None:
    assert views.columns(6, width, height) == across


def test_the_sheet_of_views_keeps_their_order() -> None:
    sheet = views.sheet(np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1).repeat(3, -1) / 2, 2, 4, 1)
    assert sheet.shape == (9, 9, 4)
    assert [sheet[0, 0, 0], sheet[0, 8, 0], sheet[8, 0, 0], sheet[4, 4, 3], sheet[8, 8, 3]] == [0, 0.5, 1, 0, 0]


# -- atlas --------------------------------------------------------------------------------------------------------------------


def test_zooming_keeps_what_is_under_the_mouse() -> None:
    look = Look(300, 200)
    nearer = look.zoomed(3, 180, 90)
    assert nearer.at(180, 90) == pytest.approx(look.at(180, 90)) and nearer.scale == 600
    assert look.zoomed(1e9, 150, 100).zoom == _flat.NEAREST
    u, v = nearer.at(10, 20)
    assert nearer.place(u, v) == pytest.approx((10, 20))
    assert nearer.moved(12, -6).place(u, v) == pytest.approx((22, 14))


def test_the_flat_picture_shows_texels_and_means() -> None:
    channel = torch.arange(16, dtype=torch.float32).reshape(1, 4, 4) / 15
    large = _flat.picture(channel, Look(8, 8))
    assert np.allclose(large[..., 0], np.kron(channel[0].numpy(), np.ones((2, 2)))) and (large[..., 3] == 1).all()
    small = _flat.picture(channel, Look(2, 2))
    assert np.allclose(small[..., 1], channel[0].numpy().reshape(2, 2, 2, 2).mean((1, 3)))
    beside = _flat.picture(channel, Look(8, 4))
    assert (beside[:, :2, 3] == 0).all() and (beside[:, 2:6, 3] == 1).all()


def test_outlines_are_the_edges_of_charts() -> None:
    """Each side of the cube is a chart of its own: its border, and none of the edges within."""
    cells = 3
    (edges,) = _flat.outlines(cube(cells))
    assert len(edges) == 6 * 4 * cells
    assert math.isclose(sum(np.linalg.norm(edges[:, 1] - edges[:, 0], axis=-1)), 6 * _border(cube(cells)), rel_tol=1e-4)
    assert [len(e) > 0 for e in _flat.outlines(two_set_box(2))] == [True, True]


def _border(mesh: Mesh) -> float:
    """Round one of the cube's charts, which are equal squares."""
    assert mesh.corner_uv is not None
    sides = mesh.corner_uv[: len(mesh.faces) // 6].reshape(-1, 2)
    return 2 * float(np.ptp(sides, axis=0).sum())


def test_charts_upon_each_other_keep_their_edges() -> None:
    one = quad(1)
    assert one.corner_uv is not None
    twice = Mesh.from_arrays(
        np.concatenate([one.vertices, one.vertices + [0, 0, 0.5]]),
        np.concatenate([one.faces, one.faces + len(one.vertices)]),
        corner_uv=np.concatenate([one.corner_uv, one.corner_uv]),
    )
    (edges,) = _flat.outlines(twice)
    assert set(Counter(tuple(np.sort(e, axis=0).ravel().round(4)) for e in edges).values()) == {2}


def test_lines_are_drawn_where_the_charts_end() -> None:
    look = Look(40, 40)
    drawn = _flat.overlaid(np.zeros((40, 40, 4), np.float32), np.array([[[0.5, 0.0], [0.5, 1.0]]], np.float32), look)
    assert drawn[20, 19:21, 3].max() > 0.5 and drawn[20, 10, 3] == 0


# -- health -------------------------------------------------------------------------------------------------------------------


def test_whatever_is_wrong_comes_with_a_remedy() -> None:
    from studio.surface.health import Health

    worst = Health(
        triangles=9, vertices=9, sets=1, components=1, watertight=False, open_edges=1, bad_edges=1, degenerate=1, duplicate=1,
        nan=1, uv_overlap=1.0, uv_flipped=1, uv_outside=1, uv_zero=1, density_spread=9.0, repairs=("Mended.",),
    )  # fmt: skip
    rows, repairs = health.of_mesh(worst.rows())
    assert repairs == ["Mended."]
    assert sum(bool(row.remedy) for row in rows) == sum(bad for *_, bad in worst.rows()) - 1
    assert health.ELSE not in {row.remedy for row in rows}


def test_the_run_report_warns_of_what_is_poor() -> None:
    good = health.of_run({"coverage": 0.99, "seam_error": 0.01, "consistency_psnr": math.inf})
    assert [row.value for row in good] == ["99.0%", "1.0%", "perfect"] and not any(row.remedy for row in good)
    poor = health.of_run({"coverage": 0.5, "seam_error": 0.3, "consistency_psnr": 9.0})
    assert all(row.remedy for row in poor)
    assert health.of_run({"consistency_psnr": None}) == []


# -- picks --------------------------------------------------------------------------------------------------------------------


def picking(**facts: Any) -> Any:
    """What the panel reads of a session."""
    plain = {"picked": 0, "where_picks_lie": Path("x"), "taste": None, "no_taste": "", "active": False, "report": {}}
    return SimpleNamespace(**{**plain, **facts})


def test_the_panel_says_how_far_picking_is() -> None:
    assert picks.told(picking()) == "No picks yet."
    assert picks.told(picking(picked=1)) == "1 pick. 3 more, and the generator can learn from them."
    assert picks.told(picking(picked=12, where_picks_lie=None)) == "12 picks, of all meshes. More make it surer."
    assert picks.tasted(picking(picked=7)) == ("A taste can be read from 8 picks.", False)
    assert picks.tasted(picking(picked=8)) == ("Your taste is being read …", False)
    assert picks.tasted(picking(picked=8, no_taste="No taste can be read.")) == ("No taste can be read.", True)
    assert [picks.tasted(picking(picked=9, taste=(share, "It."))) for share in (0.6, 0.7)] == [("It.", True), ("It.", False)]


def test_the_panel_says_what_was_learned() -> None:
    found = {"pairs": 4, "held_out_pairs": 1, "accuracy": [[2, 0.0], [4, 1.0]], "stopped": ""}
    report = {"preferences": found, "diversity": {"kept": 0.9}}
    said = "Learned from 4 picks. It agrees with 100% of the 1 that was held out. Variety kept: 90%; see the tab Seeds."
    assert picks.learned(picking(report=report)) == (said, 1.0)
    assert picks.learned(picking(report=report, active=True)) == picks.learned(picking()) == ("", None)
    none_left = {**found, "held_out_pairs": 0, "accuracy": [], "stopped": "It ran away."}
    assert picks.learned(picking(report={"preferences": none_left})) == ("Learned from 4 picks. It ran away.", None)
