"""Short runs of the programs in examples/ports, whose text with the names of JAX and Optax gives golden/ports.json."""

from functools import partial
from importlib import import_module

import funcnet as fn


def port(name):
    return import_module(f"ports.{name}")


def advi(key):
    program = port("advi")
    params, bounds = fn.jit(lambda key, x, y: program.fit(key, x, y, True, 20))(key, *program.observe(key))
    return [*params["mean"], *params["log_scale"], bounds[-1]]


def deep_equilibrium(key):
    program = port("deep_equilibrium")
    x, y = program.spirals(key, 16)
    params, losses = fn.jit(partial(program.train, steps=5))(program.init(key, x[0]), x, y)
    return [*losses, params["w"][0, 0]]


def gp_regression(key):
    program = port("gp_regression")
    log, values = fn.jit(lambda x, y: program.fit(x, y, 10))(*program.observe(key, 20))
    return [log["length"], log["signal"], log["noise"], values[0], values[-1]]


def hmc(key):
    program = port("hmc")
    places, step, chance = fn.jit(lambda key: program.sample(key, 5, 5))(key)
    return [*places[-1], step, chance]


def hmm(key):
    program = port("hmm")
    dice, sides = fn.jit(lambda key: program.roll(key, 40))(key)
    log_rolls = program.log_rolls(sides)
    loaded = fn.jit(program.by_scan)(log_rolls)[:, 1]
    return [dice.sum(), sides.sum(), program.log_likelihood(log_rolls), *loaded[::8]]


def neural_ode(key):
    params, losses = fn.jit(lambda key: port("neural_ode").train(key, 3))(key)
    return [*losses, params[0]["w"][0, 0]]


def pinn(key):
    params, losses = fn.jit(lambda key: port("pinn").train(key, 3))(key)
    return [*losses, params[0]["w"][0, 0]]


def ppo(key):
    params, lengths = fn.jit(lambda key: port("ppo").train(key, 2))(key)
    return [*lengths, params["critic"][0]["w"][0, 0]]


def ridge(key):
    program = port("ridge")
    fit, validate, _ = program.draw(key)
    penalties, errors = fn.jit(partial(program.choose, steps=5))(fit, validate)
    return [errors[0], errors[-1], *penalties[::10]]


def vae(key):
    x = fn.random.uniform(key, (128, 64))
    params, bounds = fn.jit(lambda key: port("vae").train(key, x, 2))(key)
    return [*bounds, params["decoder"][0]["w"][0, 0]]


SHORT = (advi, deep_equilibrium, gp_regression, hmc, hmm, neural_ode, pinn, ppo, ridge, vae)
