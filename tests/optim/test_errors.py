"""Wrong input to optimizers raises a clear error."""

import pytest
import torch
from programs import first_update
from tables import numbers

from funcnet import optim

ERRORS = {
    "no params": (
        lambda: optim.adamw(0.1).update(numbers(2), optim.adamw(0.1).init(numbers(2))),
        "add_decayed_weights: expected the parameters, got None",
    ),
    "state of another chain": (
        lambda: optim.chain(optim.clip(1.0), optim.sgd(0.1)).update(numbers(2), ((),)),
        "chain: expected a state of 2 entries, one per transformation, got tuple with entry 0",
    ),
    "name twice": (
        lambda: optim.named_chain(("a", optim.clip(1.0)), ("a", optim.clip(1.0))),
        r"named_chain: expected names that differ, got \['a', 'a'\]",
    ),
    "label without transformation": (
        lambda: optim.partition({"a": optim.sgd(0.1)}, {"w": "a", "b": "c"}).init({"w": numbers(1), "b": numbers(1)}),
        r"""partition: at path "b": expected a label among \['a'\], got 'c'.""",
    ),
    "boundaries": (
        lambda: optim.join_schedules([optim.constant_schedule(1.0)], [3]),
        "join_schedules: expected one boundary fewer than schedules, got 1 schedules and 1 boundaries",
    ),
    "no decay": (
        lambda: optim.cosine_decay_schedule(1.0, 0),
        "cosine_decay_schedule: expected decay_steps of at least 1",
    ),
    "all warmup": (
        lambda: optim.warmup_cosine_decay_schedule(0.0, 1.0, 5, 5),
        "expected decay_steps, which include warmup, to be more than warmup_steps 5, got 5",
    ),
    "interpolation": (
        lambda: optim.piecewise_interpolate_schedule("cubic", 1.0),
        r"piecewise_interpolate_schedule: expected one of \['linear', 'cosine'\], got 'cubic'",
    ),
    "plateau without loss": (
        lambda: first_update(optim.reduce_on_plateau(), numbers(2), numbers(2)),
        "reduce_on_plateau: expected the loss, got none",
    ),
    "search without loss": (
        lambda: first_update(optim.lbfgs(), numbers(2), numbers(2)),
        "linesearch: expected the loss, its gradient and the loss as a function",
    ),
    "strategy": (
        lambda: optim.scale_by_zoom_linesearch(3, initial_guess_strategy="two"),
        "linesearch: expected the strategy 'one' or 'keep', got 'two'",
    ),
    "memory": (lambda: optim.lbfgs(memory_size=0), "lbfgs: expected a memory_size of at least 1, got 0"),
    "no search in the state": (
        lambda: optim.value_and_grad_from_state(torch.sum)(numbers(2), state=()),
        "value_and_grad_from_state: expected a state that holds the state of a line search",
    ),
    "unknown static argument": (
        lambda: optim.inject_hyperparams(optim.clip, static_args="norm"),
        r"inject_hyperparams: expected static_args among \['max_delta'\], got \['norm'\]",
    ),
    "no hyper-parameters": (lambda: optim.get_hyperparams(((), ())), "get_hyperparams: the state holds none"),
    "no average": (
        lambda: optim.schedule_free_eval_params((), numbers(2)),
        "schedule_free_eval_params: expected a state that holds the state of schedule_free",
    ),
    "fast parameters alone": (
        lambda: optim.lookahead(optim.sgd(0.1), 2, 0.5).init(numbers(2)),
        "lookahead: expected LookaheadParams, got float64 tensor",
    ),
    "period": (
        lambda: optim.lookahead(optim.sgd(0.1), 0, 0.5),
        "lookahead: expected a sync_period of at least 1, got 0",
    ),
    "polynomials": (
        lambda: optim.muon(0.1, [(1.0, 2.0, 3.0)], ns_steps=2),
        "muon: expected a polynomial for each of 2 steps, got 1",
    ),
    "six axes": (
        lambda: first_update(optim.adaptive_grad_clip(0.1), torch.ones((2,) * 6), torch.ones((2,) * 6)),
        "adaptive_grad_clip: expected leaves of at most 5 axes",
    ),
}


@pytest.mark.parametrize("call, message", ERRORS.values(), ids=ERRORS)
def test_bad_input_gets_a_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
