"""Drawing without a window; every figure is drawn, without a warning, and closed."""

import pytest


@pytest.fixture(autouse=True)
def plt():
    """Pyplot, on a backend without windows."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    figures = [plt.figure(number) for number in plt.get_fignums()]
    plt.close("all")
    for figure in figures:
        figure.canvas.draw()
