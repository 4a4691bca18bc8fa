"""How the window ends: what was not saved is there at the next start, whatever ended it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gui.driver import Window
from tests.gui.screen import Screen, why_not
from tests.gui.steps import running

driven = [pytest.mark.gui, pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]
Begin = Callable[..., Window]


def test_the_end_tears_nothing_down() -> None:
    """A thread that is still loading a library would make the destructors abort."""
    code = "import atexit, os; from studio.gui.ending import leave; atexit.register(os.abort); print('flushed', end=''); leave(3)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (3, "flushed")


class TestWindows:
    pytestmark = driven

    def test_a_display_that_goes_takes_no_work_with_it(self, tmp_path: Path, project: Path, begin: Begin) -> None:
        """The process ends by itself, its autosave is whole, and the next window brings it back."""
        gone = Screen(1024, 700)
        window = Window(gone, tmp_path, (str(project),))
        try:
            window.appear()
            running(window)
            gone._server.kill()
            assert window.process.wait(10) == 1
            assert "Traceback" not in window.log()
        finally:
            window.kill()
            gone.close()
        window = begin(home=tmp_path)
        window.wait(lambda s: s["dialog"] == "recovery")
        window.keep("unsaved work")
        window.click("recovery.restore")
        window.wait(
            lambda s: s["moments"] and s["curves"]["score"] >= 1 and s["config"]["generator"]["name"] == "tiny", seconds=20
        )

    @pytest.mark.parametrize("how", ["closed", "told to end"])
    def test_work_is_offered_again_until_it_is_declined(self, tmp_path: Path, begin: Begin, how: str) -> None:
        window = begin(home=tmp_path)
        window.click("prompt.dice")
        window.wait(lambda s: s["undo"])
        if how == "closed":
            assert window.quit() == 0
        else:
            window.process.send_signal(signal.SIGTERM)
            assert window.process.wait(10) == 0
        window = begin(home=tmp_path)
        window.wait(lambda s: s["dialog"] == "recovery")
        window.click("recovery.discard")
        window.wait(lambda s: not s["dialog"])
        assert window.quit() == 0 and not list(tmp_path.glob("autosave/*.open"))
