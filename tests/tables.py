"""The tables that laws are crossed with: a new tree, layer or optimizer adds one line and is tested by every law."""

import dataclasses
from collections import OrderedDict
from functools import partial
from typing import Any, NamedTuple

import optree
import torch

import funcnet as fn


class Point(NamedTuple):
    x: Any
    y: Any


@fn.tree.register_dataclass
@dataclasses.dataclass(frozen=True)
class Affine:
    w: Any
    b: Any
    name: str = dataclasses.field(default="affine", metadata={"static": True})


class Box:
    """A node that only optree knows, registered globally."""

    def __init__(self, content):
        self.content = content


optree.register_pytree_node(
    Box,
    lambda box: ((box.content,), None, ("content",)),
    lambda _, children: Box(*children),
    namespace=optree.registry.__GLOBAL_NAMESPACE,
)


def numbers(*shape, dtype=torch.float64, seed=0):
    """Return distinct numbers in (-1, 1)."""
    return fn.random.uniform(fn.random.key(seed), shape, dtype, minval=-1.0, maxval=1.0)


TREES = {
    "leaf": lambda: numbers(2, 3),
    "dict": lambda: {"w": numbers(2, 3), "b": numbers(3, seed=1)},
    "list": lambda: [numbers(1), numbers(seed=1), numbers(0, 2)],
    "tuple": lambda: (numbers(3), (numbers(2, seed=1), ())),
    "NamedTuple": lambda: Point(numbers(2), {"z": numbers(1, 1, seed=1)}),
    "dataclass": lambda: Affine(numbers(2, 2), numbers(2, seed=1)),
    "OrderedDict": lambda: OrderedDict(z=numbers(2), a=numbers(3, seed=1)),
    "custom node": lambda: [Box(numbers(2)), Box(Box(numbers(seed=1)))],
    "None": lambda: {"w": numbers(2), "b": None, "more": [None, numbers(1, seed=1)]},
    "float32 and float64": lambda: (numbers(2), numbers(2, dtype=torch.float32, seed=1)),
    "other leaves": lambda: {
        "w": numbers(3),
        "n": 3,
        "on": True,
        "name": "relu",
        "labels": torch.tensor([1, 2]),
        "mask": torch.tensor(True),
    },
    "empty": lambda: {},
}

# name: (layer, shape of one example), including layers with state
LAYERS = {
    "dense": (fn.dense(3), (4,)),
    "dense without bias": (fn.dense(1, use_bias=False), (5,)),
    "dense of one": (fn.dense(2, b_init=fn.initializers.ones), (1,)),
    "dense on a matrix": (fn.dense(3, w_init=fn.initializers.normal(0.5)), (2, 4)),
    "dense, torch's start": (fn.dense(3, w_init=fn.initializers.torch_uniform()), (4,)),
    "dropout": (fn.dropout(0.4), (6,)),
    "dropout of 0": (fn.dropout(0.0), (6,)),
    "layer_norm": (fn.layer_norm(), (5,)),
    "layer_norm, large eps": (fn.layer_norm(eps=0.5), (2, 3)),
    "rms_norm": (fn.rms_norm(), (5,)),
    "rms_norm, large eps": (fn.rms_norm(eps=0.5), (2, 3)),
    "flatten": (fn.flatten(2), (2, 3)),
    "function": (fn.as_layer(torch.tanh), (3,)),
    "serial": (fn.serial(fn.dense(4), torch.sigmoid, fn.dropout(0.3), fn.dense(2)), (3,)),
    "serial by name": (fn.serial(hidden=fn.dense(4), act=torch.tanh, out=fn.dense(1)), (3,)),
    "serial of nothing": (fn.serial(), (3,)),
    "parallel": (fn.serial(fn.parallel(fn.dense(2), torch.sin), lambda ys: torch.cat(ys, -1)), (3,)),
    "parallel by name": (fn.serial(fn.parallel(a=fn.dense(2), b=fn.dense(2)), lambda ys: ys["a"] * ys["b"]), (3,)),
    "residual": (fn.residual(fn.serial(fn.layer_norm(), fn.dense(3), fn.dropout(0.2))), (3,)),
    "mlp": (fn.mlp([4, 3], activation=torch.tanh, activate_last=True, dropout_rate=0.2, use_bias=False), (2,)),
    "conv": (fn.conv(4, (3,)), (2, 5)),
    "conv, all options": (fn.conv(4, (2, 3), stride=(2, 1), padding="same", dilation=(1, 2), groups=2), (2, 4, 3)),
    "conv, uneven padding": (fn.conv(2, (3, 2), padding=((2, 0), 1), use_bias=False), (1, 3, 4)),
    "conv of volumes": (fn.conv(1, (2, 1, 2), stride=2, padding=1), (2, 2, 1, 2)),
    "max_pool": (fn.max_pool((2,)), (2, 3)),
    "max_pool, all options": (fn.max_pool((2, 3), stride=1, padding="same", dilation=(2, 1)), (3, 5)),
    "max_pool of volumes": (fn.max_pool((2, 1, 2), stride=(1, 2, 1)), (3, 2, 3)),
    "avg_pool": (fn.avg_pool((2,)), (2, 5)),
    "avg_pool, all options": (fn.avg_pool((2, 3), stride=1, padding="same", count_include_pad=False), (3, 4)),
    "avg_pool of volumes": (fn.avg_pool((2, 1, 2), stride=(1, 2, 1), padding=(1, 0, (0, 2))), (3, 2, 3)),
    "group_norm": (fn.group_norm(2, eps=0.02), (6,)),
    "group_norm of images": (fn.group_norm(2, axis=-3, eps=0.1), (4, 2, 3)),
    "batch_norm": (fn.batch_norm(), (3,)),
    "batch_norm of images": (fn.batch_norm(axis=-3, momentum=None, eps=0.1), (2, 2, 3)),
    "batch_norm in a model": (
        fn.serial(fn.dense(3), fn.residual(fn.serial(n=fn.batch_norm(), d=fn.dropout(0.3)))),
        (2,),
    ),
    "multi_head_attention": (fn.multi_head_attention(2), (3, 4)),
    "multi_head_attention, all options": (
        fn.multi_head_attention(3, causal=True, features=6, dropout_rate=0.3, use_bias=False),
        (3, 4),
    ),
    "rnn": (fn.rnn(3), (4, 2)),
    "rnn of sines": (fn.rnn(2, activation=torch.sin), (3, 2)),
    "gru": (fn.gru(3), (4, 2)),
    "lstm": (fn.lstm(3), (4, 2)),
    "sinusoidal_positions": (fn.sinusoidal_positions(base=50.0), (3, 4)),
    "learned_positions": (fn.learned_positions(5), (3, 2)),
}


def in_use(layer):
    """Return a layer in evaluation mode, which is a function of one example, with its state as part of its params."""
    return fn.Layer(layer.init_with_state, partial(evaluate, inner=layer)) if layer.stateful else layer


def evaluate(params_and_state, x, *, inner, key=None):
    return inner.apply_with_state(*params_and_state, x, key=key, train=False)[0]


IN_USE = {name: (in_use(layer), shape) for name, (layer, shape) in LAYERS.items()}


def falling(rate):
    """Return a step size that falls to 0 within 200 steps, for steps whose size does not depend on the gradient's."""
    return fn.optim.exponential_decay(rate, 10, 0.5)


# name: a function of the learning rate, whose default comes within 1e-6 of a parabola's minimum in 200 steps
OPTIMIZERS = {
    "sgd": lambda rate=0.1: fn.optim.sgd(rate),
    "sgd with momentum": lambda rate=0.05: fn.optim.sgd(rate, momentum=0.8),
    "sgd with nesterov": lambda rate=0.05: fn.optim.sgd(rate, momentum=0.7, nesterov=True),
    "sgd of tensors": lambda rate=0.05: fn.optim.sgd(torch.as_tensor(rate), momentum=torch.tensor(0.7)),
    "sgd by a schedule": lambda rate=0.3: fn.optim.sgd(fn.optim.cosine_decay_schedule(rate, 150, alpha=0.1)),
    "noisy_sgd": lambda rate=0.1: fn.optim.noisy_sgd(rate, eta=1e-16, gamma=0.5, key=4),
    "sign_sgd": lambda rate=0.2: fn.optim.sign_sgd(falling(rate)),
    "adam": lambda rate=0.3: fn.optim.adam(falling(rate), b1=0.5, b2=0.8, eps=1e-6),
    "adam with eps_root": lambda rate=0.1: fn.optim.adam(rate, b1=0.5, b2=0.9, eps_root=1e-2),
    "adamw": lambda rate=0.3: fn.optim.adamw(falling(rate), b1=0.5, b2=0.8, weight_decay=1e-9),
    "nadam": lambda rate=0.3: fn.optim.nadam(falling(rate), b1=0.5, b2=0.8),
    "nadamw": lambda rate=0.3: fn.optim.nadamw(falling(rate), b1=0.5, b2=0.8, weight_decay=1e-9),
    "amsgrad": lambda rate=0.2: fn.optim.amsgrad(rate, b1=0.5, b2=0.9),
    "rmsprop": lambda rate=0.3: fn.optim.rmsprop(falling(rate), decay=0.8),
    "rmsprop, all options": lambda rate=0.1: fn.optim.rmsprop(
        falling(rate), 0.8, 1e-4, 0.1, False, centered=True, momentum=0.3, nesterov=True, bias_correction=True
    ),
    "adagrad": lambda rate=0.5: fn.optim.adagrad(rate),
    "adadelta": lambda rate=0.2: fn.optim.adadelta(rate, rho=0.8, eps=1.0),
    "adamax": lambda rate=0.2: fn.optim.adamax(falling(rate), b1=0.8, b2=0.9),
    "adamaxw": lambda rate=0.2: fn.optim.adamaxw(falling(rate), b1=0.8, b2=0.9, weight_decay=1e-9),
    "radam": lambda rate=0.3: fn.optim.radam(falling(rate), b1=0.8, b2=0.9),
    "lion": lambda rate=0.2: fn.optim.lion(falling(rate), b1=0.7, b2=0.8, weight_decay=1e-9),
    "lamb": lambda rate=0.2: fn.optim.lamb(falling(rate), b1=0.8, b2=0.9),
    "lars": lambda rate=0.3: fn.optim.lars(falling(rate), trust_coefficient=0.5, momentum=0.3),
    "adafactor": lambda rate=1.0: fn.optim.adafactor(falling(rate), min_dim_size_to_factor=2),
    "adafactor with momentum": lambda rate=0.6: fn.optim.adafactor(
        falling(rate), factored=False, multiply_by_parameter_scale=False, momentum=0.5, dtype_momentum=torch.float64
    ),
    "muon": lambda rate=0.3: fn.optim.muon(falling(rate), beta=0.8, adam_b1=0.5, adam_b2=0.8),
    "schedule_free_sgd": lambda rate=0.3: fn.optim.schedule_free_sgd(rate, warmup_steps=150, weight_lr_power=40.0),
    "schedule_free_adamw": lambda rate=0.3: fn.optim.schedule_free_adamw(
        rate, warmup_steps=150, b2=0.8, eps=1.0, weight_decay=1e-9, weight_lr_power=40.0
    ),
    "lbfgs": lambda rate=1.0: fn.optim.lbfgs(rate, memory_size=3),
    "lbfgs without a search": lambda rate=0.5: fn.optim.lbfgs(rate, memory_size=2, linesearch=None),
    "adabelief": lambda rate=0.2: fn.optim.adabelief(falling(rate), b1=0.5, b2=0.8, eps=1e-4, eps_root=1e-4),
    "adan": lambda rate=0.2: fn.optim.adan(falling(rate), b1=0.5, b2=0.6, b3=0.8, weight_decay=1e-9),
    "ademamix": lambda rate=0.1: fn.optim.ademamix(falling(rate), b1=0.5, b2=0.8, b3=0.8, alpha=1.0),
    "dadapt_adamw": lambda rate=1.0: fn.optim.dadapt_adamw(falling(rate), betas=(0.5, 0.8), estim_lr0=0.1),
    "prodigy": lambda rate=1.0: fn.optim.prodigy(falling(rate), betas=(0.5, 0.8), estim_lr0=0.1),
    "fromage": lambda rate=0.2: fn.optim.fromage(falling(rate)),
    "novograd": lambda rate=0.3: fn.optim.novograd(falling(rate), b1=0.5, b2=0.8),
    "optimistic_gradient_descent": lambda rate=0.1: fn.optim.optimistic_gradient_descent(rate, 1.0, 0.5),
    "optimistic_adam": lambda rate=0.3: fn.optim.optimistic_adam(rate, 0.1, b1=0.5, b2=0.8, eps=1.0),
    "optimistic_adam_v2": lambda rate=0.2: fn.optim.optimistic_adam_v2(falling(rate), beta=0.5, b1=0.5, b2=0.8),
    "rprop": lambda rate=0.1: fn.optim.rprop(rate, min_step_size=1e-12),
    "signum": lambda rate=0.2: fn.optim.signum(falling(rate), beta=0.5),
    "sm3": lambda rate=0.5: fn.optim.sm3(rate, momentum=0.5),
    "yogi": lambda rate=0.1: fn.optim.yogi(rate, b1=0.5, b2=0.9, eps=1.0),
    "acprop": lambda rate=0.1: fn.optim.acprop(falling(rate), b1=0.5, b2=0.8, weight_decay=1e-9),
    "adopt": lambda rate=0.2: fn.optim.adopt(falling(rate), b1=0.5, b2=0.8),
    "cocob": lambda rate=1.0: fn.optim.cocob(rate, alpha=5.0),
    "dog": lambda rate=1.0: fn.optim.dog(rate, ("distance", 0.5)),
    "dowg": lambda rate=1.0: fn.optim.dowg(rate, 0.5),
    "scale_by_distance_over_gradients": lambda rate=1.0: fn.optim.chain(
        fn.optim.scale_by_distance_over_gradients(0.2), fn.optim.scale_by_learning_rate(rate)
    ),
    "madgrad": lambda rate=0.5: fn.optim.madgrad(falling(rate), momentum=0.3),
    "momo": lambda rate=0.3: fn.optim.momo(rate, beta=0.3),
    "momo_adam": lambda rate=0.3: fn.optim.momo_adam(falling(rate), b1=0.5, b2=0.8),
    "simplified_ademamix": lambda rate=0.1: fn.optim.simplified_ademamix(falling(rate), b1=0.5, b2=0.8, alpha=0.5),
    "sophia": lambda rate=0.3: fn.optim.sophia(rate, b1=0.5, gamma=0.5, weight_decay=1e-9, update_interval=2),
    "mechanize": lambda rate=1.0: fn.optim.mechanize(fn.optim.sgd(0.5 * rate), s_init=0.5, num_betas=3),
    "split_real_and_imaginary": lambda rate=0.1: fn.optim.split_real_and_imaginary(fn.optim.sgd(rate, momentum=0.5)),
    "monitor": lambda rate=0.1: fn.optim.chain(
        fn.optim.monitor({"norm": fn.optim.global_norm}), fn.optim.sgd(rate), fn.optim.snapshot("sum", fn.tree.norm)
    ),
    "apply_every": lambda rate=0.1: fn.optim.chain(fn.optim.sgd(rate), fn.optim.apply_every(2)),
    "normalize": lambda rate=0.2: fn.optim.chain(fn.optim.normalize(), fn.optim.sgd(falling(rate))),
    "chain": lambda rate=0.1: fn.optim.chain(
        fn.optim.zero_nans(), fn.optim.clip(3.0), fn.optim.clip_by_global_norm(2.0), fn.optim.sgd(rate)
    ),
    "named_chain": lambda rate=0.1: fn.optim.named_chain(("ema", fn.optim.ema(0.5)), ("sgd", fn.optim.sgd(rate))),
    "masked": lambda rate=0.1: fn.optim.chain(
        fn.optim.masked(fn.optim.scale(0.7), fn.optim.by_path(lambda path: "b" in path)), fn.optim.sgd(rate)
    ),
    "partition": lambda rate=0.1: fn.optim.partition(
        {"a": fn.optim.sgd(rate), "b": fn.optim.sgd(0.05, momentum=0.5)},
        fn.optim.by_path(lambda path: "b" if path.endswith("b") else "a"),
    ),
    "inject_hyperparams": lambda rate=0.1: fn.optim.inject_hyperparams(fn.optim.sgd)(rate, momentum=0.5),
    "apply_if_finite": lambda rate=0.1: fn.optim.apply_if_finite(fn.optim.sgd(rate, momentum=0.5), 3),
    "conditionally_transform": lambda rate=0.1: fn.optim.chain(
        fn.optim.conditionally_transform(fn.optim.trace(0.5), lambda step: step % 3 != 1), fn.optim.sgd(rate)
    ),
    "conditionally_mask": lambda rate=0.1: fn.optim.conditionally_mask(
        fn.optim.sgd(rate, momentum=0.5), lambda step: step % 3 != 1
    ),
    "MultiSteps": lambda rate=0.2: fn.optim.MultiSteps(fn.optim.sgd(rate), 2, accumulator_dtype=None),
    "reduce_on_plateau": lambda rate=0.2: fn.optim.chain(
        fn.optim.sgd(rate), fn.optim.reduce_on_plateau(0.5, 3, min_scale=0.2)
    ),
    "centralize and noise": lambda rate=0.1: fn.optim.chain(
        fn.optim.centralize(), fn.optim.add_noise(1e-16, 0.5, 0), fn.optim.clip_by_block_rms(2.0), fn.optim.sgd(rate)
    ),
    "adaptive_grad_clip": lambda rate=0.1: fn.optim.chain(fn.optim.adaptive_grad_clip(0.5, 0.1), fn.optim.sgd(rate)),
}
