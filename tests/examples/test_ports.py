"""The programs in examples/ports give JAX's numbers from the same keys, agree with mathematics, and print figures."""

import re
import xml.etree.ElementTree as ET
from functools import partial

import pytest
import torch
from example_runs import EXAMPLES, row, run
from golden import load
from short_ports import SHORT, port

import funcnet as fn

PORTS = sorted(path.stem for path in (EXAMPLES / "ports").glob("*.py") if "def main" in path.read_text())

DOUBLE = ("gp_regression", "hmm", "ridge")  # in float64
LONG = ("deep_equilibrium", "hmc", "neural_ode", "pinn", "ppo", "vae")


@pytest.mark.parametrize(
    "program", [pytest.param(f, marks=[pytest.mark.slow] if f.__name__ in LONG else [], id=f.__name__) for f in SHORT]
)
def test_gives_the_numbers_of_jax(program):
    got = [float(value) for value in program(fn.random.key(0))]
    name = program.__name__
    # Hamiltonian dynamics multiply rounding errors
    tolerance = 1e-9 if name in DOUBLE else 1e-3 if name == "hmc" else 2e-5
    assert got == pytest.approx(load("ports")[name], rel=tolerance, abs=tolerance)


def test_a_hidden_markov_model_has_one_posterior():
    hmm = port("hmm")
    rolls = hmm.log_rolls(hmm.roll(fn.random.key(3), 33)[1])
    dice = torch.cartesian_prod(*[torch.arange(2)] * 6)  # all ways to throw six times
    log_paths = torch.log(hmm.START)[dice[:, 0]] + rolls[torch.arange(6), dice].sum(1)
    log_paths = log_paths + torch.log(hmm.CHANGE)[dice[:, :-1], dice[:, 1:]].sum(1)
    exact = (torch.softmax(log_paths, 0)[:, None] * dice).sum(0)
    for f in (hmm.by_scan, hmm.by_associative_scan, hmm.by_gradient):
        torch.testing.assert_close(f(rolls[:6])[:, 1], exact, rtol=0, atol=1e-12)
        torch.testing.assert_close(f(rolls), hmm.by_scan(rolls), rtol=0, atol=1e-12)
    torch.testing.assert_close(hmm.log_likelihood(rolls[:6]), torch.logsumexp(log_paths, 0))


@pytest.mark.slow
def test_the_adjoint_equation_gives_the_gradient_of_the_solver():
    ode = port("neural_ode")
    params = fn.tree.map(lambda leaf: leaf.double(), ode.net.init(fn.random.key(3), torch.zeros(2)))
    starts = fn.random.uniform(fn.random.key(1), (3, 2), torch.float64, minval=-1.2, maxval=1.2)
    grads = fn.jit(fn.grad(partial(ode.loss, tolerance=1e-7)))(params, starts)
    through = partial(ode.loss, starts=starts, tolerance=1e-7, solve=ode.integrate)
    value, along = fn.jit(lambda params, grads: fn.jvp(through, (params,), (grads,)))(params, grads)
    torch.testing.assert_close(along, fn.tree.dot(grads, grads), rtol=1e-5, atol=0)
    step = 1e-5
    before, after = (
        through(fn.tree.map(lambda p, g, size=size: p + size * g, params, grads)) for size in (-step, step)
    )
    torch.testing.assert_close((after - before) / (2 * step), along, rtol=1e-5, atol=0)
    torch.testing.assert_close(value, ode.loss(params, starts, 1e-9), rtol=0, atol=1e-6)


def number(pattern, output):
    """Return the number in the first group of a pattern, in the output as one line."""
    return float(re.search(pattern, " ".join(output.split())).group(1))


def check_advi(output):
    full, field, exact, conditional = (
        list(map(float, row(output, name))) for name in ("full rank", "mean field", "exact", "conditional")
    )
    assert full[:6] == pytest.approx(exact[:6], abs=0.02) and full[6] == pytest.approx(exact[6], abs=0.02)
    assert field[3:6] == pytest.approx(conditional, abs=0.01) and field[6] < full[6] - 0.5


def check_deep_equilibrium(output):
    assert number(r"accuracy ([\d.]+)%", output) > 98
    assert number(r"differ by at most (\S+)", output) < 1e-8


def check_gp_regression(output):
    assert float(row(output, "noise")[0]) == pytest.approx(0.2, abs=0.05)
    assert number(r"([-\d.]+) at last", output) > -13 and number(r"error ([\d.]+)", output) < 0.15


def check_hmc(output):
    for name, close in (("mu", 0.15), ("tau", 0.25)):
        mean, deviation, *exact = map(float, row(output, name))
        assert [mean, deviation] == pytest.approx(exact, abs=close)
    assert 75 < number(r"([\d.]+)% of proposals", output) < 90


def check_hmm(output):
    assert number(r"log likelihood of 300 rolls (-[\d.]+)", output) == pytest.approx(-525.6957)
    assert max(float(row(output, f"by {way}")[0]) for way in ("associative scan", "gradient")) < 1e-11


def check_neural_ode(output):
    assert number(r"at first, ([\d.]+) after", output) < 1e-4


def check_pinn(output):
    assert all(float(row(output, time)[0]) < 0.02 for time in ("0", "0.5", "1"))


def check_ppo(output):
    assert number(r"the pole for ([\d.]+) steps", output) > 400


def check_ridge(output):
    tests = [float(row(output, name)[2]) for name in ("none", "the best single one", "one per feature")]
    assert tests == sorted(tests, reverse=True) and number(r"differ by at most (\S+)", output) < 1e-8
    assert number(r"relevant features ([\d.]+)", output) + 2 < number(r"of the others ([\d.]+)", output)


def check_vae(output):
    assert number(r"test images (-[\d.]+)", output) > -26.5


@pytest.mark.slow
@pytest.mark.parametrize("name", PORTS)
def test_prints_and_draws_its_figure(name, tmp_path):
    if name == "vae":
        pytest.importorskip("sklearn")
    output = run(f"ports/{name}", "--svg", str(tmp_path / "picture.svg"))
    globals()[f"check_{name}"](output)
    assert "●" in output or "▓" in output
    assert len("".join(ET.parse(tmp_path / "picture.svg").getroot().itertext())) > 500


def test_a_port_finds_the_options_of_the_examples():
    assert "--seed" in run("ports/hmm", "--help")


def test_every_port_is_short_and_listed():
    listed = (EXAMPLES / "ports/README.md").read_text()
    for name in PORTS:
        assert f"`{name}.py`" in listed and len((EXAMPLES / f"ports/{name}.py").read_text().splitlines()) < 120


def test_imagined_images_stand_apart():
    vae = port("vae")
    params = {"decoder": vae.decoder.init(fn.random.key(0), torch.zeros(1, 2))}
    size = vae.ROWS * (vae.SIDE + 1)
    places = (torch.arange(size) + 0.5) / size
    picture = vae.imagine(params, torch.cartesian_prod(places, places)).reshape(size, size) > 0
    is_image = torch.arange(size) % (vae.SIDE + 1) < vae.SIDE
    assert torch.equal(picture, is_image[:, None] & is_image)
