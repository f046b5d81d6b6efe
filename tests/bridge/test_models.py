"""Third-party models: those of the transformers package, with random weights and small configurations."""

import copy

import pytest
import torch
from torch_modules import assert_close

import funcnet as fn

transformers = pytest.importorskip("transformers")

TOKENS = fn.random.randint(fn.random.key(1), (4, 7), 0, 50, torch.int64)
PADDED = torch.ones(4, 7, dtype=torch.int64)
PADDED[1, 4:] = PADDED[2, 6:] = 0
IMAGES = fn.random.normal(fn.random.key(2), (4, 3, 8, 8), torch.float64)

COMMON = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20}


def gpt2(**options):
    sizes = {"n_positions": 8, "n_embd": 12, "n_layer": 2, "n_head": 2, "bos_token_id": 0, "eos_token_id": 0}
    config = transformers.GPT2Config(vocab_size=50, use_cache=False, **sizes, **options)
    return transformers.GPT2LMHeadModel(config)


def bert(**options):
    config = transformers.BertConfig(vocab_size=50, max_position_embeddings=8, num_labels=3, **COMMON, **options)
    return transformers.BertForSequenceClassification(config)


def vit(**options):
    config = transformers.ViTConfig(image_size=8, patch_size=4, num_labels=3, **COMMON, **options)
    return transformers.ViTForImageClassification(config)


# name: (a function that builds the model, its inputs)
MODELS = {
    "GPT-2": (gpt2, {"input_ids": TOKENS}),
    "GPT-2, padded": (gpt2, {"input_ids": TOKENS, "attention_mask": PADDED}),
    "BERT": (bert, {"input_ids": TOKENS}),
    "BERT, padded": (bert, {"input_ids": TOKENS, "attention_mask": PADDED}),
    "ViT": (vit, {"pixel_values": IMAGES}),
}


def build(name, attention=None):
    """Return a model in float64 without negligible values, and its inputs."""
    make, inputs = MODELS[name]
    model = make(attn_implementation=attention).double()
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.copy_(0.3 * fn.random.normal(fn.random.key(i), tuple(parameter.shape), torch.float64))
    return model, inputs


CASES = [(name, attention) for name in MODELS for attention in ("sdpa", "eager")]


@pytest.fixture(params=CASES, ids=" ".join)
def case(request):
    return build(*request.param)


def tolerance(model, atol=1e-12):
    """Return the tolerances; ViT's own attention computes its softmax in float32."""
    in_float32 = (
        isinstance(model, transformers.ViTForImageClassification) and "eager" in model.config._attn_implementation
    )
    return 1e-5 if in_float32 else atol


def loss_of(apply, state):
    def loss(params, inputs, key=None):
        output, _ = apply(params, state, **inputs, key=key)
        return output["logits"].sin().sum()

    return loss


def one_by_one(inputs):
    """Return the inputs in batches of one, along a new leading axis."""
    return fn.tree.map(lambda leaf: leaf[:, None], inputs)


def test_output_and_gradients_equal_the_models(case):
    model, inputs = case
    apply, params, state = fn.from_module(model.eval())
    expected = model(**inputs).logits
    output, _ = apply(params, state, **inputs)
    assert type(output) is dict and list(output) == ["logits"]
    assert_close(output["logits"], expected.detach(), tolerance(model))
    grads = fn.grad(loss_of(apply, state))(params, inputs)
    expected.sin().sum().backward()
    found = dict(zip(fn.tree.paths(grads), fn.tree.leaves(grads), strict=True))
    none = {name for name, p in model.named_parameters() if p.grad is None}
    assert all(not found.pop(name).any() for name in none)
    assert_close(
        found, {name: p.grad for name, p in model.named_parameters() if name not in none}, 10 * tolerance(model)
    )


def test_per_example_gradients_equal_a_loop(case):
    model, inputs = case
    apply, params, state = fn.from_module(model.eval())
    gradient, rows = fn.grad(loss_of(apply, state)), one_by_one(inputs)
    loop = fn.tree.stack([gradient(params, row) for row in fn.tree.unstack(rows)])
    batched = fn.vmap(gradient, in_dims=(None, 0))
    assert_close(batched(params, rows), loop, 10 * tolerance(model))
    assert_close(fn.jit(batched, backend="eager")(params, rows), loop, 10 * tolerance(model))


def test_an_ensemble_equals_its_modules(case):
    model, inputs = case
    models = [copy.deepcopy(model.eval()) for _ in range(8)]
    with torch.no_grad():
        for i, member in enumerate(models):
            for parameter in member.parameters():
                parameter.add_(0.01 * i)
    triples = [fn.from_module(member) for member in models]
    params, state = (fn.tree.stack(column) for column in list(zip(*triples, strict=True))[1:])
    ensemble = fn.vmap(lambda params, state: triples[0][0](params, state, **inputs)[0]["logits"])
    if not fn.tree.leaves(state):
        ensemble, state = (
            (lambda params, state: fn.vmap(lambda p: triples[0][0](p, {}, **inputs)[0]["logits"])(params)),
            {},
        )
    with torch.no_grad():
        expected = torch.stack([member(**inputs).logits for member in models])
    assert_close(ensemble(params, state), expected, tolerance(model))


# ViT's own attention, with its softmax in float32, is too coarse for finite differences
@pytest.mark.parametrize("name, attention", [case for case in CASES if case != ("ViT", "eager")])
def test_hvp_equals_a_finite_difference(name, attention):
    model, inputs = build(name, attention)
    apply, params, state = fn.from_module(model.eval())
    gradient = fn.grad(lambda params: loss_of(apply, state)(params, inputs))
    v, h = fn.tree.map(torch.cos, params), 1e-6
    ahead, behind = (gradient(fn.tree.add(params, fn.tree.scale(sign * h, v))) for sign in (1, -1))
    expected = fn.tree.scale(0.5 / h, fn.tree.sub(ahead, behind))
    product = fn.jvp(gradient, (params,), (v,))[1]
    assert fn.tree.norm(fn.tree.sub(product, expected)) < 1e-6 * fn.tree.norm(product)
    jitted = fn.jit(lambda params, v: fn.jvp(gradient, (params,), (v,))[1], backend="eager")
    assert_close(jitted(params, v), product, 1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_dropout_in_train_mode_draws_from_the_key(name):
    model, inputs = build(name)
    apply, params, state = fn.from_module(model.train())
    loss, keys, rows = loss_of(apply, state), fn.random.split(fn.random.key(0), 4), one_by_one(inputs)
    if name == "ViT":  # without dropout by default
        assert loss(params, inputs) == loss(params, inputs, keys[0])
        return
    with pytest.raises(ValueError, match=r"dropout \(p=0.1\) draws random numbers, expected a key, got none"):
        loss(params, inputs)
    before = torch.get_rng_state()
    gradient = fn.grad(loss)
    batched = fn.vmap(gradient, in_dims=(None, 0, 0))(params, rows, keys)
    loop = [gradient(params, *row) for row in zip(fn.tree.unstack(rows), keys, strict=True)]
    assert torch.equal(torch.get_rng_state(), before)
    assert_close(batched, fn.tree.stack(loop), 1e-11)
    assert loss(params, inputs, keys[0]) != loss(params, inputs, keys[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GPT-2", "BERT, padded", "ViT"])
def test_a_training_step_is_one_native_kernel(name):
    model, inputs = build(name)
    apply, params, state = fn.from_module(model.train())
    optimizer = fn.optim.adam(1e-3)

    def step(params, moments, inputs, key):
        value, grads = fn.value_and_grad(loss_of(apply, state))(params, inputs, key)
        updates, moments = optimizer.update(grads, moments, params)
        return fn.optim.apply_updates(params, updates), moments, value

    args = params, optimizer.init(params), inputs, fn.random.key(0)
    jitted = fn.jit(step)
    assert_close(jitted(*args), step(*args), 1e-9)
    assert jitted.explain(*args).backend == "native"


def test_a_cache_is_a_node():
    model, inputs = build("GPT-2")
    model.config.use_cache = True
    apply, params, state = fn.from_module(model.eval())
    expected = model(**inputs)
    output, _ = apply(params, state, **inputs)
    (name,) = set(output) - {"logits"}
    cache = output[name]
    assert type(cache) is transformers.DynamicCache and len(fn.tree.leaves(cache)) == 4
    assert_close(output["logits"], expected.logits.detach())
    following = TOKENS[:, :1]
    want = model(following, **{name: expected[name]}).logits.detach()

    def step(tokens, cache):
        return apply(params, state, tokens, **{name: cache})[0]

    for f in (step, fn.jit(step, backend="eager")):
        assert_close(f(following, cache)["logits"], want)
        assert cache.get_seq_length() == 7  # the argument is not written to
    batched = fn.vmap(step)(
        following[:, None], fn.vmap(lambda row: apply(params, state, row)[0][name])(TOKENS[:, None])
    )
    assert_close(batched["logits"][:, 0], want, 1e-11)


@pytest.mark.filterwarnings("ignore:.gradient_checkpointing_enable. is deprecated:FutureWarning")
@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradient_checkpointing(use_reentrant):
    model, inputs = build("GPT-2")
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    plain, params, state = fn.from_module(model.train())
    model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    apply, _, _ = fn.from_module(model)
    gradients = [fn.grad(loss_of(f, state)) for f in (apply, plain)]
    assert_close(*(f(params, inputs) for f in gradients), 1e-11)
    rows = one_by_one(inputs)
    assert_close(*(fn.vmap(f, in_dims=(None, 0))(params, rows) for f in gradients), 1e-11)


def test_names_and_ties_of_gpt2():
    model, _ = build("GPT-2")
    _, params, state = fn.from_module(model)
    assert params["transformer"]["h"]["1"]["attn"]["c_attn"]["weight"].shape == (12, 36)
    assert model.lm_head.weight is model.transformer.wte.weight and "lm_head" not in params
    assert fn.tree.paths(params) == sorted(name for name, _ in model.named_parameters())
    again = fn.to_module(model, params, state)
    assert again.lm_head.weight is again.transformer.wte.weight
    assert fn.tree.equal(dict(again.state_dict()), dict(model.state_dict()))
