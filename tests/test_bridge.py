"""A torch module as a pure function: the values, gradients and statistics of the module, whatever transforms it."""

import copy
import pickle
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

import funcnet as fn

KEY = fn.random.key(0)


def numbers(*shape, seed=0, dtype=torch.float64):
    return fn.random.normal(fn.random.key(seed), shape, dtype)


def filled(module):
    """The module in float64, with values that depend on nothing but their names."""
    module = module.double()
    with torch.no_grad():
        for i, (name, tensor) in enumerate(module.state_dict(keep_vars=True).items()):
            if tensor.is_floating_point():
                noise = numbers(*tensor.shape, seed=i)
                tensor.copy_(noise.square() + 0.5 if "var" in name else 0.3 * noise)
    return module


class Tied(nn.Module):
    """An embedding whose matrix is the last layer's, too, and a layer that is used under two names."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.inner = nn.Linear(4, 4)
        self.again = self.inner
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.table.weight

    def forward(self, tokens):
        return self.out(torch.tanh(self.again(torch.tanh(self.inner(self.table(tokens))))))


class Counting(nn.Module):
    """Buffers of three kinds, one rebound and not persistent; attributes set by forward; a constant tensor."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))
        self.register_buffer("mean", torch.zeros(3), persistent=False)
        self.register_buffer("seen", torch.tensor(0))
        self.register_buffer("on", torch.tensor([True, False, True]))
        self.register_buffer("nothing", None)
        self.constant = torch.arange(3.0, dtype=torch.float64)
        self.calls = 0

    def forward(self, x):
        self.mean = 0.5 * self.mean + 0.5 * x.mean(0)
        self.seen += len(x)
        self.on.logical_not_()
        self.calls += 1
        last = self.last = x * 1
        return last * self.w + self.mean + self.constant


def transformer(**options):
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


# name: (module, a batch of 4 examples)
MODULES = {
    "linear": (nn.Linear(3, 2), numbers(4, 3)),
    "mlp": (nn.Sequential(nn.Linear(3, 5), nn.ELU(inplace=True), nn.Linear(5, 2)), numbers(4, 3)),
    "writes to its input": (nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2)), numbers(4, 3)),
    "tied": (Tied(), torch.tensor([[0, 1, 6], [2, 2, 3], [5, 4, 3], [1, 0, 0]])),
    "images": (
        nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.GroupNorm(2, 4), nn.MaxPool2d(2), nn.Flatten()),
        numbers(4, 2, 5, 6),
    ),
    "batch_norm": (nn.Sequential(nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3), nn.SiLU()), numbers(4, 2, 6)),
    "instance_norm": (nn.InstanceNorm1d(2, affine=True, track_running_stats=True), numbers(4, 2, 6)),
    "transformer": (transformer(dropout=0.2), numbers(4, 5, 8)),
    "transformer, norm first": (transformer(dropout=0.1, norm_first=True, activation="gelu"), numbers(4, 3, 8)),
    "lstm": (nn.LSTM(3, 4, 2, batch_first=True, dropout=0.4, bidirectional=True), numbers(4, 5, 3)),
    "lstm, projected": (nn.LSTM(3, 4, batch_first=True, proj_size=2), numbers(4, 5, 3)),
    "gru": (nn.GRU(3, 4, 2, batch_first=True, bias=False, dropout=0.3), numbers(4, 5, 3)),
    "rnn": (nn.RNN(3, 4, batch_first=True, nonlinearity="relu"), numbers(4, 5, 3)),
    "weight_norm": (torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), numbers(4, 3)),
}
STATEFUL = ("batch_norm", "instance_norm")


@pytest.fixture(params=MODULES)
def case(request):
    module, x = MODULES[request.param]
    return filled(copy.deepcopy(module)), x


def scalar(output):
    return sum(leaf.sin().sum() for leaf in fn.tree.leaves(output))


def one_loss(apply, state):
    """The loss of one example, to which it gives the batch axis that modules expect."""
    return lambda params, x, key=None: scalar(apply(params, state, x[None], key=key)[0])


def assert_close(a, b, atol=1e-12):
    assert fn.tree.difference(a, b, atol=atol) is None


def loop(f, *columns):
    return fn.tree.stack([f(*row) for row in zip(*columns, strict=True)])


def test_output_equals_the_modules(case):
    module, x = case
    apply, params, state = fn.from_module(module.eval())
    output, after = apply(params, state, x)
    with torch.no_grad():
        assert_close(output, module(x.clone()))
    assert fn.tree.equal(after, state)


def test_gradients_equal_autograds(case):
    module, x = case
    apply, params, state = fn.from_module(module.eval())
    grads = fn.grad(lambda params: scalar(apply(params, state, x)[0]))(params)
    scalar(module(x.clone())).backward()
    found = dict(zip(fn.tree.paths(grads), fn.tree.leaves(grads), strict=True))
    assert_close(found, {name: parameter.grad for name, parameter in module.named_parameters()})


def test_per_example_gradients_equal_a_loop(case):
    apply, params, state = fn.from_module(case[0].eval())
    gradient = fn.grad(one_loss(apply, state))
    batched = fn.vmap(gradient, in_dims=(None, 0))(params, case[1])
    assert_close(batched, loop(lambda x: gradient(params, x), case[1]))


def test_an_ensemble_equals_its_modules(case):
    module, x = case
    modules = [filled(copy.deepcopy(module).eval()) for _ in range(8)]
    for i, member in enumerate(modules):
        member.load_state_dict({k: v + 0.01 * i for k, v in member.state_dict().items()})
    triples = [fn.from_module(member) for member in modules]
    params, state = (fn.tree.stack(column) for column in list(zip(*triples, strict=True))[1:])
    outputs, _ = fn.vmap(triples[0][0], in_dims=(0, 0, None))(params, state, x)
    with torch.no_grad():
        assert_close(outputs, fn.tree.stack([member(x.clone()) for member in modules]))


def test_hvp_equals_a_finite_difference(case):
    module, x = case
    apply, params, state = fn.from_module(module.eval())
    gradient = fn.grad(lambda params: scalar(apply(params, state, x)[0]))
    v, h = fn.tree.map(torch.cos, params), 1e-5
    ahead, behind = (gradient(fn.tree.add(params, fn.tree.scale(sign * h, v))) for sign in (1, -1))
    expected = fn.tree.scale(0.5 / h, fn.tree.sub(ahead, behind))
    assert_close(fn.jvp(gradient, (params,), (v,))[1], expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_jit_equals_eager(case, mode):
    module, x = case
    apply, params, state = fn.from_module(getattr(module, mode)())

    def both(params, state, x, key):
        return fn.value_and_grad(
            lambda params: (lambda y, s: (scalar(y), s))(*apply(params, state, x, key=key)), has_aux=True
        )(params)

    assert_close(fn.jit(both, backend="eager")(params, state, x, KEY), both(params, state, x, KEY), atol=1e-10)


@pytest.mark.parametrize("name", STATEFUL)
def test_in_train_mode_statistics_move_as_the_modules_do(name):
    module, x = MODULES[name]
    module = filled(copy.deepcopy(module)).train()
    apply, params, state = fn.from_module(module)
    before = copy.deepcopy(state)
    output, after = apply(params, state, x)
    assert fn.tree.equal(state, before)
    assert_close(output, module(x).detach())
    assert_close(after, fn.from_module(module)[2])
    assert fn.tree.difference(after, state) is not None


@pytest.mark.parametrize("name", STATEFUL)
def test_statistics_under_vmap_are_those_of_each_model_and_example(name):
    module, x = MODULES[name]
    apply, params, state = fn.from_module(filled(copy.deepcopy(module)).train())
    shared = fn.vmap(apply, in_dims=(None, None, 0))(params, state, x[:, None])
    assert_close(shared, loop(lambda x: apply(params, state, x[None]), x))
    stacked = fn.tree.map(lambda leaf: torch.stack([leaf, leaf + 1]), state)
    own = fn.vmap(apply, in_dims=(None, 0, None))(params, stacked, x)
    assert_close(own, loop(lambda s: apply(params, s, x), fn.tree.unstack(stacked)))


def test_the_module_is_left_untouched(case):
    module, x = case
    before = copy.deepcopy(module.state_dict())
    apply, params, state = fn.from_module(module.train())
    fn.value_and_grad(lambda params: scalar(apply(params, state, x, key=KEY)[0]))(params)
    assert fn.tree.equal(dict(module.state_dict()), dict(before))
    assert all(parameter.grad is None for parameter in module.parameters())
    pointers = {tensor.data_ptr() for tensor in module.state_dict().values()}
    assert pointers.isdisjoint(leaf.data_ptr() for leaf in fn.tree.leaves((params, state)))


def test_to_module_gives_the_module_back(case):
    module, x = case
    apply, params, state = fn.from_module(module.eval())
    back = fn.to_module(apply, params, state)
    assert fn.tree.equal(dict(back.state_dict()), dict(module.state_dict()))
    assert fn.tree.equal(fn.from_module(back)[1:], (params, state))
    with torch.no_grad():
        assert_close(back(x.clone()), module(x.clone()), 0.0)


def test_a_computed_attribute_is_a_constant():
    module = nn.Linear(3, 2)
    module.doubled = 2 * module.weight
    module.register_forward_hook(lambda module, args, y: y + module.doubled.sum())
    apply, params, state = fn.from_module(module)
    assert_close(apply(params, state, torch.ones(3))[0], module(torch.ones(3)).detach())


def test_what_happens_to_the_module_later_changes_nothing():
    module = filled(nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).eval())
    apply, params, state = fn.from_module(module)
    expected, _ = apply(params, state, torch.ones(4, 3).double())
    module.train()
    module[0].weight.data.zero_()
    assert torch.equal(apply(params, state, torch.ones(4, 3).double())[0], expected)


def test_no_argument_is_written_to():
    x = numbers(4, 3)
    before = x.clone()
    apply, params, state = fn.from_module(filled(nn.Sequential(nn.ReLU(inplace=True))))
    assert torch.equal(apply(params, state, x)[0], before.relu()) and torch.equal(x, before)


def test_buffers_come_out_new_and_attributes_do_not_stay():
    module = Counting().double()
    apply, params, state = fn.from_module(module)
    assert fn.tree.paths(state) == ["mean", "on", "seen"]
    x = numbers(4, 3)
    first, after = apply(params, state, x)
    assert fn.tree.equal(apply(params, state, x), (first, after))
    assert_close(first, module(x))
    assert_close(after, fn.from_module(module)[2])
    second, _ = apply(params, after, x)
    module.calls = 0
    assert_close(second, module(x))
    assert not hasattr(apply.module, "last")
    many = fn.vmap(apply, in_dims=(None, None, 0))(params, state, x[:, None])
    assert_close(many[0], loop(lambda x: apply(params, state, x[None])[0], x))


def test_names_and_ties():
    module = Tied()
    apply, params, _ = fn.from_module(module)
    assert fn.tree.paths(params) == ["inner.bias", "inner.weight", "table.weight"]
    assert torch.equal(params["table"]["weight"], module.out.weight)
    again = params | {"out": {"weight": params["table"]["weight"].clone()}}
    x = torch.tensor([0, 3])
    assert torch.equal(apply(again, {}, x)[0], apply(params, {}, x)[0])


def test_frozen_parameters_are_split_off():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    module[0].requires_grad_(False)
    apply, params, state = fn.from_module(module)
    trained, frozen = fn.tree.partition(params, fn.bridge.trainable(module))
    grads = fn.grad(lambda p: apply(fn.tree.combine(p, frozen), state, torch.ones(3))[0].sum())(trained)
    assert fn.tree.paths(grads) == fn.tree.paths(trained) == ["1.bias", "1.weight"]


def test_dtype_follows_the_parameters_and_autograd_goes_through():
    apply, params, _ = fn.from_module(nn.Linear(3, 2))
    assert apply(fn.tree.map(torch.Tensor.double, params), {}, numbers(4, 3))[0].dtype == torch.float64
    params = fn.tree.map(torch.Tensor.requires_grad_, params)
    apply(params, {}, torch.ones(3))[0].sum().backward()
    assert torch.equal(params["weight"].grad, torch.ones(2, 3))


def test_apply_pickles_and_runs_in_threads():
    apply, params, state = pickle.loads(pickle.dumps(fn.from_module(filled(transformer()).eval())))
    scales = [fn.tree.scale(0.5 + 0.1 * i, params) for i in range(8)]
    expected, found = [apply(p, state, numbers(2, 3, 8))[0] for p in scales], {}

    def work(i):
        for _ in range(5):
            found[i] = apply(scales[i], state, numbers(2, 3, 8))[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[i], y) for i, y in enumerate(expected))
    assert not torch.compiler.is_exporting() and not torch.compiler.is_compiling()


def test_masks_of_the_transformer():
    module, x = filled(transformer(dropout=0.0)).train(), numbers(4, 5, 8)
    apply, params, state = fn.from_module(module)
    causal = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    padding = torch.zeros(4, 5, dtype=torch.float64)
    padding[1, 3:] = padding[2, 4:] = -torch.inf
    options = {"is_causal": False}
    expected = module(x, mask=causal, src_key_padding_mask=padding, **options).detach()

    def f(params, x, padding):
        return apply(params, state, x, mask=causal, src_key_padding_mask=padding, **options)[0]

    assert_close(f(params, x, padding), expected)
    assert_close(fn.jit(f, backend="eager")(params, x, padding), expected)
    each = fn.vmap(lambda x, padding: f(params, x[None], padding[None])[0])
    assert_close(each(x, padding), expected)


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}, {"enable_gqa": True}], ids=str)
def test_attention_is_torchs(options):
    class Attend(nn.Module):
        def forward(self, *tensors, **given):
            return functional.scaled_dot_product_attention(*tensors, **given)

    heads = 2 if "enable_gqa" in options else 4
    q, k, v = numbers(2, 4, 5, 6), numbers(2, heads, 5, 6, seed=1), numbers(2, heads, 5, 3, seed=2)
    apply, _, _ = fn.from_module(Attend())
    masks = [None] if "is_causal" in options else [None, numbers(5, 5), torch.eye(5) > 0, torch.zeros(5, 5) > 0]
    for mask in masks:
        expected = functional.scaled_dot_product_attention(q, k, v, mask, **options)
        assert_close(apply({}, {}, q, k, v, mask, **options)[0], expected)


def test_packed_sequences_go_to_torchs_kernel():
    module = filled(nn.LSTM(3, 4, 2, dropout=0.5)).eval()
    packed = pack_padded_sequence(numbers(5, 3, 3), torch.tensor([5, 3, 2]))
    apply, params, state = fn.from_module(module)
    assert_close(_data(apply(params, state, packed)[0]), _data(module(packed)))
    apply, params, state = fn.from_module(module.train())
    with pytest.raises(
        ValueError, match="dropout between layers of a packed sequence, in lstm, draws from torch's global"
    ):
        apply(params, state, packed, key=KEY)


def _data(result):
    packed, ends = result
    return fn.tree.map(torch.Tensor.detach, (packed.data, ends))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transformer", "lstm", "images", "batch_norm"])
def test_a_gradient_step_as_a_native_kernel(name):
    module, x = MODULES[name]
    apply, params, state = fn.from_module(filled(copy.deepcopy(module)).train())

    def step(params, state, key):
        def loss(params):
            output, after = apply(params, state, x, key=key)
            return scalar(output), after

        grads, after = fn.grad(loss, has_aux=True)(params)
        return fn.sgd_step(params, grads, 0.1), after

    jitted = fn.jit(step)
    assert_close(jitted(params, state, KEY), step(params, state, KEY), atol=1e-9)
    assert jitted.explain(params, state, KEY).backend == "native"


LINEAR, LINEAR_PARAMS, _ = fn.from_module(nn.Linear(3, 2))
TIED, TIED_PARAMS, _ = fn.from_module(Tied())
NORM, NORM_PARAMS, NORM_STATE = fn.from_module(nn.BatchNorm1d(2))
TOKENS = torch.tensor([0, 3])


def on_meta():
    with torch.device("meta"):
        return nn.Sequential(nn.Linear(3, 2))


def with_meta_buffer():
    module = nn.BatchNorm1d(2)
    module.running_var = module.running_var.to("meta")
    return module


BAD = {
    "no module": (lambda: fn.from_module(torch.tanh), TypeError, "from_module: expected a torch.nn.Module, got"),
    "lazy": (
        lambda: fn.from_module(nn.Sequential(nn.ReLU(), nn.LazyLinear(2))),
        ValueError,
        r'expected parameter "1\.weight" to have values, it is lazy.* Call the module once on an example input',
    ),
    "meta": (
        lambda: fn.from_module(on_meta()),
        ValueError,
        r'expected parameter "0\.weight" to have values, it is on the meta device\. Build the module outside',
    ),
    "meta buffer": (
        lambda: fn.from_module(with_meta_buffer()),
        ValueError,
        'expected buffer "running_var" to have values, it is on the meta device',
    ),
    "missing parameter": (
        lambda: LINEAR({"weight": LINEAR_PARAMS["weight"]}, {}, torch.ones(3)),
        ValueError,
        r"from_module\(Linear\): expected parameters like the module's, they differ at the root: dict with entries "
        r"bias, weight and dict with entry weight\. Start from the parameters that from_module returned",
    ),
    "another shape": (
        lambda: TIED({**TIED_PARAMS, "inner": {"weight": torch.ones(4, 3), "bias": torch.ones(4)}}, {}, TOKENS),
        ValueError,
        r"""they differ at path "inner\.weight": 'tensor of shape \(4, 4\)' and 'tensor of shape \(4, 3\)'""",
    ),
    "not combined": (
        lambda: LINEAR({"weight": LINEAR_PARAMS["weight"], "bias": None}, {}, torch.ones(3)),
        ValueError,
        r"""they differ at path "bias": 'tensor of shape \(2,\)' and None""",
    ),
    "another state": (
        lambda: NORM(NORM_PARAMS, {}, torch.ones(3, 2)),
        ValueError,
        r"from_module\(BatchNorm1d\): expected state like the module's, they differ at the root: dict with entries",
    ),
    "tied twice": (
        lambda: TIED(TIED_PARAMS | {"out": {"weight": torch.ones(7, 4)}}, {}, TOKENS),
        ValueError,
        r'"out\.weight" is tied to "table\.weight", expected one tensor under the name "table\.weight", got two with'
        r' different values\. Leave "out\.weight" out',
    ),
    "tied, under the second name only": (
        lambda: TIED({"inner": TIED_PARAMS["inner"], "out": {"weight": torch.ones(7, 4)}}, {}, TOKENS),
        ValueError,
        "they differ at the root: dict with entries inner, table and dict with entries inner, out",
    ),
    "no key": (
        lambda: fn.from_module(nn.Sequential(nn.Dropout(0.3)))[0]({}, {}, torch.ones(3)),
        ValueError,
        r"from_module\(Sequential\): dropout \(p=0\.3\) draws random numbers, expected a key, got none\. Pass"
        r" key=fn\.random\.key\(0\), or call \.eval\(\) on the module before from_module",
    ),
    "max_norm": (
        lambda: (lambda apply, params, state: apply(params, state, TOKENS))(
            *fn.from_module(nn.Embedding(4, 2, max_norm=1.0))
        ),
        ValueError,
        "an embedding with max_norm writes to its parameter, expected a pure forward. Set max_norm=None",
    ),
    "batch_norm of one": (
        lambda: NORM(NORM_PARAMS, NORM_STATE, torch.ones(1, 2)),
        ValueError,
        "Expected more than 1 value per channel when training",
    ),
}


@pytest.mark.parametrize("call, error, message", BAD.values(), ids=BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_output_that_hides_tensors_is_refused():
    class Hiding(nn.Module):
        def forward(self, x):
            return {"y": x, "more": [torch.distributions.Normal(x, x.exp())]}

    apply, params, state = fn.from_module(Hiding())
    with pytest.raises(
        TypeError, match=r'in the output, at path "more\.0": expected a tensor, .* got an object of Normal'
    ):
        apply(params, state, torch.ones(2))


class Running(nn.Module):
    """Statistics that the module looks at, or keeps as rows of one buffer."""

    def __init__(self, rows):
        super().__init__()
        self.rows, self.norm = rows, nn.BatchNorm1d(4)
        self.register_buffer("both", torch.stack([torch.zeros(4), torch.ones(4)]))

    def forward(self, x):
        if self.rows:
            return functional.batch_norm(x, self.both[0], self.both[1], training=True)
        y = self.norm(x) + self.norm.running_mean
        self.norm.running_var.mul_(0.5)
        return y


@pytest.mark.parametrize("rows", [False, True])
def test_statistics_are_written_where_the_module_looks_for_them(rows):
    module = Running(rows).double()
    apply, params, state = fn.from_module(module)
    x = numbers(6, 4)
    y, after = apply(params, state, x)
    torch.testing.assert_close(y, module(x), rtol=1e-12, atol=1e-12)
    assert fn.tree.difference(after, fn.from_module(module)[2]) is None


class Remembering(nn.Module):
    """Keeps a count in a tensor that is not a buffer, and a history, which nobody reads, in a list of its part, too."""

    def __init__(self):
        super().__init__()
        self.count, self.seen, self.part = torch.zeros(()), [], nn.Linear(3, 3)
        self.part.seen = self.seen

    def forward(self, x):
        self.count += 1
        self.part.seen.append(x)
        return self.part(x) + self.count


def test_what_a_forward_writes_to_its_attributes_does_not_stay():
    module = Remembering().double()
    apply, params, state = fn.from_module(module)
    x = numbers(2, 3)
    first, second = apply(params, state, x)[0], apply(params, state, x)[0]
    torch.testing.assert_close(second, first, rtol=0, atol=0)
    torch.testing.assert_close(first, module(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "wrap", [lambda f: f, lambda f: fn.jit(f, backend="eager"), lambda f: lambda *a: mapped(f, *a)]
)
@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_with_cumulative_statistics(train, wrap):
    module = nn.Sequential(nn.BatchNorm1d(3, momentum=None), nn.BatchNorm1d(3)).double().train(train)
    apply, params, state = fn.from_module(module)
    assert apply.module[0].momentum is None
    for i in range(3):
        x = torch.linspace(-1, 2 + i, 12, dtype=torch.float64).reshape(4, 3).sin()
        y, state = wrap(apply)(params, state, x)
        torch.testing.assert_close(y, module(x))
    _, _, expected = fn.from_module(module)
    assert fn.tree.allclose(state, expected, rtol=1e-12)
    assert fn.to_module(apply, params, state)[0].momentum is None is apply.module[0].momentum


def mapped(apply, params, state, x):
    both = fn.vmap(apply, in_dims=(None, None, 0))(params, state, torch.stack([x + 1, x]))
    return fn.tree.map(lambda leaf: leaf[1], both)
