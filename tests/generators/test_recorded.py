"""Passes that are recorded on CUDA paint what they painted before; elsewhere nothing is recorded."""

import pytest
import torch
from torch.overrides import TorchFunctionMode

from studio.generators import SOCKET
from studio.generators._network import PATCH
from studio.generators._recorded import KEPT, Recorded
from studio.generators._solid import FIELDS


def test_nothing_is_recorded_on_a_processor():
    calls = []

    def work(x, *, plus):
        calls.append(plus)
        return x + plus

    recorded = Recorded(work)
    with torch.no_grad():
        found = [float(recorded(torch.zeros(()), plus=k, under=None)) for k in (1, 1, 2)]
    assert found == [1, 1, 2] and calls == [1, 1, 2]


class OnCard(torch.Tensor):
    """Says that it lies on a card."""

    is_cuda = True


def test_what_cannot_be_recorded_is_called_as_ever(monkeypatch):
    tries = []

    def refuse(*_):
        tries.append(1)
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    monkeypatch.setattr(Recorded, "_record", refuse)
    recorded, x = Recorded(lambda x: x + 1), torch.zeros(2).as_subclass(OnCard)
    with torch.no_grad():
        assert [float(recorded(x, under=None).sum()) for _ in range(4)] == [2, 2, 2, 2]
    assert len(tries) == 1


class HostValues(TorchFunctionMode):
    """Notes what would be copied from the host within: tensors made of Python numbers, and lists as indices."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        makes = func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor)
        index = args[1] if func is torch.Tensor.__getitem__ else ()
        if makes or any(isinstance(i, list) for i in (index if isinstance(index, tuple) else (index,))):
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


def test_a_pass_that_is_recorded_takes_nothing_from_the_host() -> None:
    """A copy from the host breaks a recording. What is kept for good may be made in the first pass, which is not recorded."""
    painter = SOCKET.make("mini", guidance=2.0).build(device=torch.device("cpu"))
    size, views, px = painter.network.size, 2, 64
    x, geometry = torch.zeros(2 * views, size.painted, px, px), torch.ones(2 * views, size.geometry, px, px)
    fields = torch.zeros(2 * views, (px // PATCH) ** 2, PATCH**2, FIELDS)
    text = torch.zeros(2 * views, size.tokens, size.text_channels)
    given = (x, geometry, torch.ones(2 * views), text, fields)
    with torch.no_grad():
        painter._guessed(*given, count=views)
        with HostValues() as host:
            painter._guessed(*given, count=views)
    assert not host.found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA card")
@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_recorded_passes_follow_inputs_weights_adapters_and_shapes(name):
    device = torch.device("cuda")
    painter = SOCKET.make(name, steps=3).build(device=device)
    painter.add_lora(rank=4)
    px, size = painter.view_px, painter.network.size
    views, torch.backends.cuda.matmul.allow_tf32 = 2, False

    def scene(seed):
        geometry = torch.randn(views, size.geometry, px, px, generator=torch.Generator().manual_seed(seed)) * 0.3
        geometry[:, 6] = 1
        return painter.scene_of("red stripes", geometry)

    def agrees(seed):
        """Painted eagerly, while it is recorded, from the recording, and with a gradient wanted, which is never recorded."""
        painted = [painter.paint(scene(seed), seed=seed) for _ in range(3)]
        x, s = painter.noise(scene(seed), generator=torch.Generator().manual_seed(seed)), scene(seed)
        for i in range(painter.steps):
            x = painter.advance(x, painter.predict(x, i, s).detach(), i, s, noise=None)
        eager = painter.decode(x, s).detach()
        for found in painted:
            torch.testing.assert_close(found, eager, rtol=2e-3, atol=2e-3)
        return eager

    first = agrees(0)
    assert (agrees(1) - first).abs().max() > 0.05
    for p in painter.lora_parameters():  # in place, as an optimiser does
        with torch.no_grad():
            p.add_(0.2)
    learned = agrees(0)
    assert (learned - first).abs().max() > 0.01
    with painter.base():
        torch.testing.assert_close(agrees(0), first, rtol=2e-3, atol=2e-3)
    views = 3
    for k in range(KEPT + 1):
        views = 2 + k
        agrees(k)
    painter.add_lora(rank=2)  # other tensors: the old recordings are not used
    views = 2
    torch.testing.assert_close(agrees(0), first, rtol=2e-3, atol=2e-3)
