"""The gallery shows every figure, each a few kB, as the examples draw them now."""

import re

import pytest
from example_runs import EXAMPLES
from gallery import DARK, FIGURES, NAMES, draw, file

GALLERY = (EXAMPLES / "README.md").read_text()
README = (EXAMPLES.parent / "README.md").read_text()


def test_the_gallery_shows_the_figures_of_the_command():
    shown = re.findall(r'src="figures/(\w+)\.png"', GALLERY)
    assert sorted(shown) == sorted(file(name).stem for name in NAMES)
    assert sorted(path.name for path in FIGURES.iterdir()) == sorted(
        [*(f"{name}.png" for name in shown), f"{DARK}_dark.png"]
    )
    assert all(f"`{name}.py`" in GALLERY and (EXAMPLES / f"{name}.py").exists() for name in NAMES)
    assert sum(path.stat().st_size for path in FIGURES.iterdir()) < 500_000


def test_readme_shows_a_figure_for_either_background():
    assert {f"examples/figures/{DARK}.png", f"examples/figures/{DARK}_dark.png"} == {
        *re.findall(r'"(\S+\.png)"', README)
    }
    assert "(examples/README.md)" in README


@pytest.mark.slow
@pytest.mark.parametrize("options, suffix", [((), ""), (("--dark",), "_dark")])
def test_a_figure_is_what_its_example_draws(options, suffix):
    pytest.importorskip("matplotlib")
    image, chops = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ImageChops")
    with image.open(file(DARK, suffix)) as kept:
        drawn = draw(DARK, *options)
        assert drawn.size == kept.size
        apart = chops.difference(drawn.convert("L"), kept.convert("L")).histogram()
    assert sum(apart[32:]) < 0.05 * drawn.width * drawn.height  # fonts differ between versions of matplotlib
