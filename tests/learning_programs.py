# ruff: noqa: N806, E741  names as in formulas
"""Programs that train nets as one writes them in JAX: only these import lines differ."""

from functools import partial

from ported_nets import mlp, mlp_init

import funcnet as jax
import funcnet.numpy as jnp
import funcnet.optim as optax
from funcnet import lax, random


def ctc():
    """Training with the loss of connectionist temporal classification."""
    key = random.key(0)
    B, T, N, K = 3, 12, 4, 6
    k1, k2, k3 = random.split(key, 3)
    x = random.normal(k1, (B, T, 5))
    labels = random.randint(k2, (B, N), 1, K)
    label_lens = jnp.array([4, 3, 2])
    logit_lens = jnp.array([12, 10, 9])
    lp = jnp.astype(jnp.arange(N)[None, :] >= label_lens[:, None], jnp.float32)
    xp = jnp.where(jnp.arange(T) < logit_lens[:, None], 0.0, 1.0)
    params = {"w": random.normal(k3, (5, K)) * 0.3, "b": jnp.zeros(K)}
    opt = optax.adam(5e-2)

    def loss_fn(p):
        logits = jnp.einsum("btd,dk->btk", x, p["w"]) + p["b"]
        return optax.ctc_loss(logits, xp, labels, lp).mean()

    @jax.jit
    def update(p, s):
        l, g = jax.value_and_grad(loss_fn)(p)
        u, s = opt.update(g, s, p)
        return optax.apply_updates(p, u), s, l

    s = opt.init(params)
    ls = []
    for _ in range(5):
        params, s, l = update(params, s)
        ls.append(l)
    return jnp.array(ls), params["b"]


def factorisation():
    """Matrix factorisation with masked decay and an optimizer per part."""
    k1, k2, k3 = random.split(random.key(0), 3)
    R = random.normal(k1, (8, 3)) @ random.normal(k2, (3, 6))
    M = random.bernoulli(k3, 0.7, R.shape)
    params = {
        "U": 0.1 * random.normal(random.key(4), (8, 3)),
        "V": 0.1 * random.normal(random.key(5), (6, 3)),
        "bias": {"u": jnp.zeros(8), "v": jnp.zeros(6)},
    }

    def loss(p):
        pred = p["U"] @ p["V"].T + p["bias"]["u"][:, None] + p["bias"]["v"]
        return jnp.sum(jnp.where(M, (R - pred) ** 2, 0)) / M.sum()

    mask = {"U": True, "V": True, "bias": False}
    labels = {"U": "factors", "V": "factors", "bias": "bias"}
    tx = optax.chain(
        optax.masked(optax.add_decayed_weights(1e-2), mask),
        optax.multi_transform(
            {"factors": optax.adam(0.05), "bias": optax.sgd(0.1, momentum=0.9, nesterov=True)}, labels
        ),
    )
    st = tx.init(params)

    @jax.jit
    def step(c, _):
        p, st = c
        l, g = jax.value_and_grad(loss)(p)
        u, st = tx.update(g, st, p)
        return (optax.apply_updates(p, u), st), (l, optax.global_norm(g))

    (p, _), (ls, gn) = lax.scan(step, (params, st), length=12)
    return ls, gn, p["bias"]["u"], optax.tree_utils.tree_norm(p)


def gumbel_vae():
    """An autoencoder with discrete codes, whose samples pass gradients straight through."""
    key = random.key(0)
    x = jnp.astype(random.bernoulli(random.key(9), 0.3, (16, 12)), jnp.float32)
    ke, kd = random.split(key)
    params = {"enc": mlp_init(ke, [12, 16, 6]), "dec": mlp_init(kd, [6, 16, 12])}

    def loss(p, key, tau):
        logits = mlp(p["enc"], x).reshape(-1, 2, 3)
        g = random.gumbel(key, logits.shape)
        y = jax.nn.softmax((logits + g) / tau, axis=-1)
        hard = jax.nn.one_hot(jnp.argmax(y, -1), 3)
        y = lax.stop_gradient(hard - y) + y
        out = mlp(p["dec"], y.reshape(-1, 6), jax.nn.gelu)
        rec = optax.sigmoid_binary_cross_entropy(out, x).sum(-1)
        q = jax.nn.softmax(logits)
        kl = jnp.sum(q * (jax.nn.log_softmax(logits) + jnp.log(3.0)), axis=(-1, -2))
        return (rec + kl).mean()

    opt = optax.inject_hyperparams(optax.adam)(learning_rate=optax.linear_schedule(1e-2, 1e-3, 5))

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(p, s, key, i):
        tau = jnp.maximum(0.5, jnp.exp(-0.1 * i))
        l, g = jax.value_and_grad(loss)(p, key, tau)
        u, s = opt.update(g, s)
        return optax.apply_updates(p, u), s, l

    s = opt.init(params)
    ls = []
    for i in range(5):
        params, s, l = step(params, s, random.fold_in(key, i), i)
        ls.append(float(l))
    return jnp.array(ls), s.hyperparams["learning_rate"]


def bptt():
    """A character model, trained through pieces of text that hand on their state, writes some text."""
    text = "the quick brown fox jumps over the lazy dog " * 3
    chars = sorted(set(text))
    ix = {c: i for i, c in enumerate(chars)}
    data = jnp.array([ix[c] for c in text])
    V, H = len(chars), 12
    ks = random.split(random.key(0), 4)
    init = jax.nn.initializers.glorot_uniform()
    p = {
        "emb": random.normal(ks[0], (V, H)) * 0.1,
        "wx": init(ks[1], (H, 4 * H)),
        "wh": jax.nn.initializers.orthogonal()(ks[2], (H, 4 * H)),
        "b": jnp.zeros(4 * H),
        "out": init(ks[3], (H, V), jnp.float32),
    }

    def cell(p, c, x):
        h, cc = c
        z = p["emb"][x] @ p["wx"] + h @ p["wh"] + p["b"]
        i, f, g, o = jnp.split(z, 4, axis=-1)
        cc = jax.nn.sigmoid(f + 1) * cc + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(cc)
        return (h, cc), h @ p["out"]

    def loss(p, c, x, y):
        c, logits = lax.scan(partial(cell, p), c, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), c

    tx = optax.chain(optax.clip(1.0), optax.rmsprop(1e-2))
    st = tx.init(p)
    c = jax.tree_util.tree_map(lambda _: jnp.zeros(H), (0, 0))
    ls = []

    @jax.jit
    def step(p, st, c, x, y):
        (l, c), g = jax.value_and_grad(loss, has_aux=True)(p, c, x, y)
        u, st = tx.update(g, st, p)
        return jax.tree.map(jnp.add, p, u), st, jax.tree_util.tree_map(lax.stop_gradient, c), l

    for t in range(0, 60, 12):
        p, st, c, l = step(p, st, c, data[t : t + 12], data[t + 1 : t + 13])
        ls.append(l)

    def sample(c, key):
        cc, tok = c
        cc, logits = cell(p, cc, tok)
        tok = jnp.astype(random.categorical(key, logits / 0.8), jnp.int32)
        return (cc, tok), tok

    _, toks = lax.scan(sample, (c, data[0]), random.split(random.key(11), 10))
    return jnp.stack(ls), toks


def mixup():
    """Training on mixtures of examples with random keys per epoch and step."""
    key = random.key(42)
    kx, ky, key = random.split(key, 3)
    X, Y = random.normal(kx, (48, 8)), jax.nn.one_hot(random.randint(ky, (48,), 0, 3), 3)
    params = mlp_init(random.key(1), [8, 16, 3])

    def mix(key, x, y):
        kl, kp = random.split(key)
        lam = random.beta(kl, 0.4, 0.4, (x.shape[0], 1))
        perm = random.permutation(kp, x.shape[0])
        return lam * x + (1 - lam) * x[perm], lam * y + (1 - lam) * y[perm]

    tx = optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 1e-2, 3, 12), b2=0.99)

    def epoch(c, key):
        params, st = c
        kperm, kmix, kdrop = random.split(key, 3)
        perm = random.permutation(kperm, 48).reshape(6, 8)

        def step(c, ik):
            (p, st), (i, km, kd) = c, ik
            x, y = mix(km, X[i], Y[i])

            def loss(p):
                (w1, b1), (w2, b2) = p
                h = jax.nn.relu(x @ w1 + b1)
                keep = random.bernoulli(kd, 0.8, h.shape)
                h = jnp.where(keep, h / 0.8, 0)
                return optax.softmax_cross_entropy(h @ w2 + b2, optax.smooth_labels(y, 0.1)).mean()

            l, g = jax.value_and_grad(loss)(p)
            u, st = tx.update(g, st, p)
            return (optax.apply_updates(p, u), st), l

        return lax.scan(step, (params, st), (perm, random.split(kmix, 6), random.split(kdrop, 6)))

    (_, _), ls = jax.jit(lambda c, k: lax.scan(epoch, c, k))((params, tx.init(params)), random.split(key, 2))
    return ls


def attention_lm():
    """A transformer layer under remat with parts of optimizers."""
    k = random.split(random.key(0), 6)
    D, H, T, V = 16, 4, 10, 11
    init = jax.nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
    p = {
        "tok": init(k[0], (V, D)),
        "pos": 0.02 * random.normal(k[1], (T, D)),
        "qkv": init(k[2], (D, 3 * D)),
        "o": init(k[3], (D, D)),
        "m1": init(k[4], (D, 32)),
        "m2": init(k[5], (32, D)),
        "g": jnp.ones((2, D)),
    }

    def ln(x, g):
        return (x - x.mean(-1, keepdims=True)) * lax.rsqrt(jnp.var(x, axis=-1, keepdims=True) + 1e-5) * g

    def fwd(p, t):
        x = p["tok"][t] + p["pos"]
        q, kk, v = jnp.split(ln(x, p["g"][0]) @ p["qkv"], 3, axis=-1)
        q, kk, v = (a.reshape(T, H, D // H) for a in (q, kk, v))
        x = x + jax.nn.dot_product_attention(q, kk, v, is_causal=True).reshape(T, D) @ p["o"]
        x = x + jax.nn.silu(ln(x, p["g"][1]) @ p["m1"]) @ p["m2"]
        return x @ p["tok"].T

    toks = random.randint(random.key(3), (4, T + 1), 0, V)

    def loss(p):
        lg = jax.vmap(fwd, (None, 0))(p, toks[:, :-1])
        return jnp.mean(optax.losses.softmax_cross_entropy_with_integer_labels(lg, toks[:, 1:]))

    tx = optax.chain(
        optax.scale_by_lion(),
        optax.add_decayed_weights(
            0.1, mask=lambda p: jax.tree_util.tree_map_with_path(lambda path, x: x.ndim > 1 and path[0].key != "pos", p)
        ),
        optax.scale_by_learning_rate(optax.exponential_decay(3e-3, 2, 0.5)),
    )
    ema = optax.ema(0.9)
    s, e = tx.init(p), ema.init(p)
    ls = []

    @jax.jit
    def step(p, s, e):
        l, g = jax.value_and_grad(jax.checkpoint(loss))(p)
        u, s = tx.update(g, s, p)
        p = optax.apply_updates(p, u)
        avg, e = ema.update(p, e)
        return p, s, e, l, avg

    for _ in range(4):
        p, s, e, l, avg = step(p, s, e)
        ls.append(l)
    return jnp.asarray(ls), avg["g"].sum(1), jnp.array(jax.eval_shape(fwd, p, toks[0, :-1]).shape)


LEARNING_PROGRAMS = {f.__name__: f for f in (ctc, factorisation, gumbel_vae, bptt, mixup, attention_lm)}
