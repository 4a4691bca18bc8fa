"""Picks: compare two variations at a time, learn from what was picked, and let the picks become a reward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dearpygui.dearpygui as dpg

from studio.gui.chords import Chord
from studio.gui.commands import command
from studio.gui.form import editable
from studio.gui.panels import Panel
from studio.gui.panels._room import close, measurable
from studio.gui.panels._words import counted
from studio.gui.theme import GRID
from studio.preferences import DOUBTFUL, FEWEST, FEWEST_FOR_TASTE

if TYPE_CHECKING:
    from studio.gui.app import App
    from studio.session import Session

REWARD = "personal"
WEIGHT = 2.0
"""The slider's range to either side; larger weights can be typed."""
PLENTY = 32
"""So many picks tell most tastes."""
TALL, BAR = 36, 18
"""Heights in unscaled pixels."""
ABOUT = (
    "Two variations of your mesh, side by side: say which you like better, by a click or with the arrow keys. From some twenty "
    "answers the generator learns your taste, also what no reward can say."
)
ANSWERS = {"left": "← Left", "neither": "↓ Neither", "right": "Right →"}


@dataclass(frozen=True)
class PicksPanel(Panel):
    """Which of two is better, again and again."""

    title: ClassVar[str] = "Picks"
    place: ClassVar[Any] = "right"
    order: ClassVar[int] = 24
    summoned: ClassVar[bool] = True

    def build(self, app: App, parent: int | str) -> Callable[[], None]:
        return _Picks(app, parent).update


def told(session: Session) -> str:
    """How far the picking is, in a sentence or two."""
    n = session.picked or 0
    if not n:
        return "No picks yet."
    made = counted(n, "pick") + ("" if session.where_picks_lie is not None else ", of all meshes")
    if n < FEWEST:
        return f"{made}. {FEWEST - n} more, and the generator can learn from them."
    return f"{made}. " + ("More make it surer." if n < PLENTY else "That is plenty.")


def tasted(session: Session) -> tuple[str, bool]:
    """What is to be said of the taste that the picks tell, and whether that is a warning."""
    if session.taste is not None:
        accuracy, said = session.taste
        return said, accuracy < DOUBTFUL
    if session.no_taste:
        return session.no_taste, True
    few = (session.picked or 0) < FEWEST_FOR_TASTE
    return f"A taste can be read from {FEWEST_FOR_TASTE} picks." if few else "Your taste is being read …", False


def learned(session: Session) -> tuple[str, float | None]:
    """What the last learning from picks brought, and the share of held-out picks it agrees with."""
    found = session.report.get("preferences")
    if not found or session.active:
        return "", None
    accuracy = found["accuracy"][-1][1] if found["accuracy"] else None
    said = f"Learned from {counted(found['pairs'], 'pick')}."
    if accuracy is not None:
        held = found["held_out_pairs"]
        said += f" It agrees with {accuracy:.0%} of the {held} that {'was' if held == 1 else 'were'} held out."
    if found.get("stopped"):
        said += f" {found['stopped']}"
    kept = (session.report.get("diversity") or {}).get("kept")
    return said + (f" Variety kept: {kept:.0%}; see the tab Seeds." if kept is not None else ""), accuracy


class _Picks:
    def __init__(self, app: App, parent: int | str) -> None:
        self._app, self._parent = app, parent
        self._seen: tuple[Any, ...] = ()
        theme, px = app.theme, app.theme.px
        with dpg.child_window(parent=parent, tag="picks.list", border=False, height=-1):
            dpg.add_spacer(height=px(GRID))
            theme.note(ABOUT, tag="picks.about")
            compare = command("picks.compare")
            theme.button("", f"{compare.tip} Key: K", lambda: compare.act(app), tag="picks.compare", width=-1, height=px(TALL))
            with dpg.group(horizontal=True, tag="picks.answers"):
                for name, words in ANSWERS.items():
                    entry = command(f"picks.{name}")
                    tip = f"{entry.tip} Key: {Chord.parse(entry.chords[0]).said()}"
                    theme.button(words, tip, lambda entry=entry: entry.act(app), tag=f"picks.{name}", height=px(28))
            with dpg.group():
                theme.note("", tag="picks.count")
                dpg.add_progress_bar(tag="picks.progress", width=-1, height=px(6))
                theme.tip("picks.progress", f"Full at {PLENTY} picks, which tell most tastes.")
            with dpg.group(horizontal=True, tag="picks.after"):
                undo, out, into = (command(f"picks.{name}") for name in ("undo", "export", "import"))
                for entry, words in ((undo, "↑ Undo"), (out, "Export…"), (into, "Import…")):
                    tag = f"{entry.name}.button"
                    theme.button(words, entry.tip, lambda entry=entry: entry.act(app), kind="quiet", tag=tag)
            dpg.add_spacer(height=0)
            theme.head("Learn from them")
            learn = command("picks.learn")
            tip = f"{learn.tip} Fresh samples show on the mesh while it learns. Key: Shift+K"
            theme.button("", tip, lambda: learn.act(app), tag="picks.learn", width=-1, height=px(TALL))
            with dpg.group() as lines:
                theme.note("", tag="picks.learned")
            dpg.bind_item_theme(lines, close(app, 4))
            tip = "Keep what was learned in use, and compare fresh samples of it; the next learning begins where this one ended."
            theme.button("Keep it and pick on", tip, self._go_on, tag="picks.on", width=-1, show=False)
            dpg.add_spacer(height=0)
            theme.head("Your taste as a reward")
            self._taste()

    def _taste(self) -> None:
        theme, px, app = self._app.theme, self._app.theme.px, self._app
        tip = "How many of your picks a taste predicts that it was not fitted to; by tossing a coin it would be half of them."
        with dpg.group(tag="picks.taste", show=False):
            dpg.add_progress_bar(tag="picks.accuracy", width=-1, height=px(BAR))
            dpg.bind_item_theme("picks.accuracy", theme.worded)
        theme.tip("picks.taste", tip)
        theme.note("", tag="picks.said")
        theme.note("", tag="picks.doubt", warning=True)
        tip = "How hard your taste pushes in the next run, as a reward among the others."
        dpg.add_slider_float(
            tag="picks.weight", width=-1, min_value=-WEIGHT, max_value=WEIGHT, format="× %.2f", callback=self._weigh
        )
        theme.tip("picks.weight", f"{tip}\nCtrl+click types a number. Right-click: back to 1.")
        editable(app, "picks.weight", lambda: app.session.set_weight(REWARD, 1.0))
        tip = "Add the reward 'personal', which is fitted to your picks whenever a run begins."
        theme.button("+  Add it to the rewards", tip, self._add, tag="picks.add", width=-1)

    # -- callbacks ----------------------------------------------------------------------------------------------------------

    def _weigh(self, _: Any, weight: float) -> None:
        self._app.session.set_weight(REWARD, round(weight, 3))

    def _add(self) -> None:
        self._app.session.add_reward(REWARD)
        self._app.session.commit()

    def _go_on(self) -> None:
        self._app.session.keep_and_compare()

    # -- following ----------------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Follow the session."""
        session = self._app.session
        if self._seen and not dpg.is_item_visible(self._parent):
            return
        if session.texture is not None:
            session.look_for_picks()
        wide = (dpg.get_item_width("zone.right") or 0) - self._app.theme.px(24)
        state = (session.revision, session.comparing, wide)
        if state == self._seen or not measurable(self._app):
            return
        self._seen = state
        self._follow(session, wide)

    def _follow(self, session: Session, wide: float) -> None:
        px, n = self._app.theme.px, session.picked or 0
        comparing = session.comparing
        dpg.configure_item("picks.about", show=not comparing)
        label = "■   Back to the texture" if comparing else "▶   Compare variations"
        dpg.configure_item("picks.compare", label=label, enabled=command("picks.compare").enabled(self._app))
        ripe = comparing and n >= PLENTY // 2
        for name, first in (("compare", not comparing), ("learn", ripe)):
            dpg.bind_item_theme(f"picks.{name}", self._app.theme.primary if first else 0)
        dpg.configure_item("picks.answers", show=comparing)
        for name in ANSWERS:
            dpg.configure_item(
                f"picks.{name}", width=int((wide - 2 * px(GRID)) / 3), enabled=command(f"picks.{name}").enabled(self._app)
            )
        dpg.set_value("picks.count", told(session))
        dpg.set_value("picks.progress", min(1.0, n / PLENTY))
        for name in ("undo", "export", "import"):
            dpg.configure_item(f"picks.{name}.button", enabled=command(f"picks.{name}").enabled(self._app))
        dpg.configure_item(
            "picks.learn",
            label=f"Learn from {counted(n, 'pick')}" if n else "Learn",
            enabled=command("picks.learn").enabled(self._app),
        )
        said, _ = learned(session)
        if session.active and session.curves.get("accuracy"):
            said = f"It agrees with {session.curves['accuracy'][-1][1]:.0%} of the picks that are held out."
        dpg.set_value("picks.learned", said)
        dpg.configure_item("picks.learned", show=bool(said))
        dpg.configure_item("picks.on", show=bool(said) and session.has_learned)
        self._follow_taste(session, n)

    def _follow_taste(self, session: Session, n: int) -> None:
        weights, taste = session.document.config.weights(), session.taste
        dpg.configure_item("picks.taste", show=taste is not None)
        said, doubtful = tasted(session)
        if taste is not None:
            dpg.set_value("picks.accuracy", taste[0])
            dpg.configure_item("picks.accuracy", overlay=f"predicts {taste[0]:.0%}")
        dpg.set_value("picks.said", "" if doubtful else said)
        dpg.configure_item("picks.said", show=not doubtful)
        dpg.set_value("picks.doubt", said if doubtful else "")
        dpg.configure_item("picks.doubt", show=doubtful)
        used = REWARD in weights
        dpg.configure_item("picks.weight", show=used)
        dpg.configure_item("picks.add", show=not used, enabled=n >= FEWEST_FOR_TASTE)
        if used and not dpg.is_item_active("picks.weight"):
            dpg.set_value("picks.weight", weights[REWARD])
