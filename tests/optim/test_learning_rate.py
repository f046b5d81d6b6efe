"""The learning rate that an optimizer has used is read from its state."""

import pytest
import torch
from tables import numbers

import funcnet as fn

SCHEDULE = fn.optim.warmup_cosine_decay_schedule(0.0, 0.3, 3, 10, end_value=0.01)
OPTIMIZERS = {
    "sgd": fn.optim.sgd(SCHEDULE, momentum=0.9),
    "adamw": fn.optim.adamw(SCHEDULE, weight_decay=0.1),
    "lamb": fn.optim.lamb(SCHEDULE),
    "fromage": fn.optim.fromage(SCHEDULE),
    "chain": fn.optim.chain(fn.optim.clip(1.0), fn.optim.masked(fn.optim.adam(SCHEDULE), True)),
    "inject_hyperparams": fn.optim.inject_hyperparams(fn.optim.adam)(SCHEDULE),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_rate_of_every_step(name):
    """The update at count t uses schedule(t); the state shows it afterwards, and schedule(0) before the first."""
    optimizer, params = OPTIMIZERS[name], numbers(3)

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(params, state, params)
        return (fn.optim.apply_updates(params, updates), state), fn.optim.learning_rate(state)

    start = params, optimizer.init(params)
    _, rates = fn.jit(lambda start: fn.scan(step, start, length=12), backend="eager")(start)
    want = torch.stack([torch.as_tensor(SCHEDULE(torch.tensor(t))) for t in range(12)]).double()
    torch.testing.assert_close(rates.double(), want, rtol=1e-6, atol=1e-9)
    assert fn.optim.learning_rate(start[1]) == SCHEDULE(torch.tensor(0))


def test_a_constant_schedule_and_a_plateau():
    optimizer = fn.optim.chain(fn.optim.sgd(lambda _: 0.5), fn.optim.reduce_on_plateau(0.1, 1))
    state, params = optimizer.init(numbers(2)), numbers(2)
    for _ in range(2):
        _, state = optimizer.update(params, state, params, value=torch.tensor(1.0))
    torch.testing.assert_close(fn.optim.learning_rate(state), torch.tensor(0.05, dtype=torch.float64))


def test_a_sweep_has_a_rate_per_lane():
    init = lambda rate: fn.optim.adam(fn.optim.linear_schedule(rate, 0.0, 10)).init(numbers(2))  # noqa: E731
    rates = torch.tensor([0.1, 0.2], dtype=torch.float64)
    assert torch.equal(fn.vmap(lambda rate: fn.optim.learning_rate(init(rate)))(rates), rates)
