"""Layers and optimizers print as the calls that made them, and errors name their functions by their role."""

import inspect
import pickle

import pytest
import torch

import funcnet as fn

optim = fn.optim


def loss(x):
    return x.square().sum()


REPRS = {
    "serial(dense(4), tanh, dense(1))": fn.serial(fn.dense(4), torch.tanh, fn.dense(1)),
    "serial(hidden=dense(2, use_bias=False), act=sigmoid)": fn.serial(
        hidden=fn.dense(2, use_bias=False), act=torch.sigmoid
    ),
    "residual(mlp([8, 8], activation=relu))": fn.residual(fn.mlp([8, 8], activation=torch.relu)),
    "conv(3, (3, 3), padding='same')": fn.conv(3, (3, 3), padding="same"),
    "serial(batch_norm(), dropout(0.1))": fn.serial(fn.batch_norm(), fn.dropout(0.1)),
    "dropout(<float32 tensor of shape () on cpu>)": fn.dropout(torch.tensor(0.5)),
    "adamw(0.001, weight_decay=0.0001)": optim.adamw(0.001, weight_decay=0.0001),
    "chain(clip_by_global_norm(1.0), sgd(0.1))": optim.chain(optim.clip_by_global_norm(1.0), optim.sgd(0.1)),
    "partition({'a': sgd(0.1), 'b': set_to_zero()}, {'w': 'a'})": optim.partition(
        {"a": optim.sgd(0.1), "b": optim.set_to_zero()}, {"w": "a"}
    ),
    "masked(sgd(0.1), (True,))": optim.masked(optim.sgd(0.1), (True,)),
    "exponential_decay(0.1, 1000, 0.9)": optim.exponential_decay(0.1, 1000, 0.9),
    "linear_schedule(1.0, 0.0, transition_steps=10)": optim.linear_schedule(1.0, 0.0, transition_steps=10),
    "adam(join_schedules([constant_schedule(1.0), cosine_decay_schedule(0.1, 9)], [5]))": optim.adam(
        optim.join_schedules([optim.constant_schedule(1.0), optim.cosine_decay_schedule(0.1, 9)], [5])
    ),
    "dense(2, w_init=he_normal(in_axis=0))": fn.dense(2, w_init=fn.initializers.he_normal(in_axis=0)),
    "normal(0.1)": fn.initializers.normal(0.1),
    "jit(vmap(grad(loss)))": fn.jit(fn.vmap(fn.grad(loss))),
    "jit(value_and_grad(loss), backend='eager')": fn.jit(fn.value_and_grad(loss), backend="eager"),
    "vmap(loss, in_dims=(None, 0), chunk_size=2)": fn.vmap(loss, in_dims=(None, 0), chunk_size=2),
    "jacfwd(jacrev(loss))": fn.hessian(loss),
    "grad(remat(loss))": fn.grad(fn.remat(loss)),
    "serial(dense(1), vmap(tanh))": fn.serial(fn.dense(1), fn.vmap(torch.tanh)),
    "custom_vjp(loss)": fn.custom_vjp(loss),
    "per_example_grads(loss, chunk_size=8)": fn.per_example_grads(loss, chunk_size=8),
    "clipped_mean(loss, 1.0)": fn.curvature.clipped_mean(loss, 1.0),
    "distributed.vmap(loss)": fn.distributed.vmap(loss),
    "inject_hyperparams(sgd)(0.1)": optim.inject_hyperparams(optim.sgd)(0.1),
    "EarlyStopping('loss', patience=2, min_delta=0.0, highest=False, restore_best=True)": fn.callbacks.EarlyStopping(
        "loss", patience=2
    ),
    "EarlyStopping(loss, patience=1, min_delta=0.1, highest=True, restore_best=False)": fn.callbacks.EarlyStopping(
        loss, 1, min_delta=0.1, highest=True, restore_best=False
    ),
    "JsonLines('metrics.jsonl', each_step=True)": fn.callbacks.JsonLines("metrics.jsonl", each_step=True),
    "NanGuard()": fn.callbacks.NanGuard(),
}


@pytest.mark.parametrize("text", REPRS)
def test_repr_is_the_call(text):
    assert repr(REPRS[text]) == text


def test_repr_of_a_traced_hyper_parameter():
    seen = []

    def train(rate, w):
        optimizer = optim.sgd(rate)
        seen.append(repr(optimizer))
        return optimizer.update(w, optimizer.init(w), w)[0]

    fn.jit(fn.vmap(train, (0, None)), backend="eager")(torch.ones(3), torch.ones(2))
    assert seen and all(text.startswith("sgd(<float32 tensor of shape ()") for text in seen)


@pytest.mark.parametrize(
    "text", ["serial(dense(4), tanh, dense(1))", "exponential_decay(0.1, 1000, 0.9)", "normal(0.1)"]
)
def test_repr_survives_pickling(text):
    assert repr(pickle.loads(pickle.dumps(REPRS[text]))) == text


def test_every_schedule_and_initializer_prints_as_its_call():
    calls = dict.fromkeys(optim.schedules.__all__, (1.0, 2.0, 5, 20, 0.5))
    calls["piecewise_constant_schedule"] = 0.1, {2: 0.5}
    calls["piecewise_interpolate_schedule"] = "linear", 0.1, {2: 0.5}
    calls["join_schedules"] = [loss], []
    calls["sgdr_schedule"] = ([{"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 1, "decay_steps": 3}],)
    made = {name: _made(getattr(optim, name), args) for name, args in calls.items()}
    drawn = {"constant": (0.5,), "variance_scaling": (1.0, "fan_in", "normal")}
    for name in {*fn.initializers.__all__} - {"Initializer", "zeros", "ones"}:
        made[name] = getattr(fn.initializers, name)(*drawn.get(name, ()))
    assert all(repr(function).startswith(f"{name}(") for name, function in made.items())


def _made(build, args):
    """Call a builder with as many of the arguments as it requires."""
    required = [p for p in inspect.signature(build).parameters.values() if p.default is p.empty]
    return build(*args[: max(len(required), 1)])


def test_a_pair_of_functions_is_still_a_layer():
    model = fn.serial(fn.dense(4), fn.Layer(lambda key, x: (), lambda params, x, key=None: x))
    init, apply = model
    params, x = init(fn.random.key(0), torch.zeros(2, 3)), torch.ones(2, 3)
    assert torch.equal(apply(params, x), model.apply(params, x)) and repr(model).startswith("serial(dense(4), Layer(")


@pytest.mark.parametrize("layer", [fn.dense(1), fn.serial(fn.dense(1)), fn.batch_norm()], ids=repr)
def test_python_errors_name_the_function(layer):
    with pytest.raises(TypeError, match=r"^Layer\.init\(\) missing 1 required positional argument: 'x'"):
        layer.init(torch.zeros(2, 2))
    with pytest.raises(TypeError, match=r"^Layer\.apply\(\) missing 1 required positional argument: 'x'"):
        layer.apply({})


def test_tables_and_pictures_print_in_a_shell():
    assert repr(fn.report.table(["step", "loss"], [[0, 0.5]])) == "step   loss\n───────────\n   0    0.5"
    assert "┤" in repr(fn.report.curve({"cost": torch.arange(9.0)}))


def public_modules():
    """Return the modules that are public names of the package or of one of its public modules."""
    found, new = [], [fn]
    while new:
        found += new
        members = [getattr(module, name) for module in new for name in module.__all__]
        new = [m for m in members if inspect.ismodule(m) and m.__name__.startswith("funcnet.") and m not in found]
    return found[1:]


@pytest.mark.parametrize("module", public_modules(), ids=lambda module: module.__name__)
def test_completion_offers_public_names_only(module):
    assert dir(module) and set(dir(module)) <= set(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


def test_names_of_the_package():
    assert "report" in dir(fn) and "__version__" in dir(fn) and "compiler" not in dir(fn)
    assert not [name for name in dir(fn.optim) if name.endswith("State") and name not in ("EmptyState", "OptState")]
