# ruff: noqa: N803, N806, E741  names as in formulas
"""Programs that search, simulate and examine nets as one writes them in JAX: only these import lines differ."""

from ported_nets import mlp, mlp_init

import funcnet as jax
import funcnet.numpy as jnp
import funcnet.scipy as jsp
from funcnet import at, lax, random


def pagerank():
    """Power iteration on a random graph, and functions that count and sort."""
    n = 20
    ks = random.split(random.key(7), 2)
    src = random.randint(ks[0], (60,), 0, n)
    dst = random.randint(ks[1], (60,), 0, n)
    M = at(jnp.zeros((n, n)))[dst, src].add(1.0)
    deg = M.sum(0)
    M = jnp.where(deg > 0, M / jnp.where(deg > 0, deg, 1), 1.0 / n)

    @jax.jit
    def rank(M, d=0.85):
        def body(c):
            r, _, i = c
            new = (1 - d) / n + d * M @ r
            return new, jnp.linalg.norm(new - r, ord=1), i + 1

        return lax.while_loop(lambda c: c[1] > 1e-6, body, (jnp.ones(n) / n, jnp.inf, 0))

    r, _err, _it = rank(M)
    top, idx = lax.top_k(r, 5)
    order = jnp.argsort(-r)[:5]
    u, inv, cnt = jnp.unique(src, return_inverse=True, return_counts=True)
    return r, top, idx, order, u, cnt, jnp.bincount(dst, length=n), inv


def raymarch():
    """A picture of a sphere by marching along rays, with normals from gradients."""

    def sdf(p):
        sphere = jnp.linalg.norm(p - jnp.array([0.0, 0.0, 3.0])) - 1.0
        floor = p[1] + 1.0
        return jnp.minimum(sphere, floor)

    def normal(p):
        return jax.grad(sdf)(p) / jnp.linalg.norm(jax.grad(sdf)(p))

    def march(rd):
        def body(i, t):
            return jnp.minimum(t + sdf(rd * t), 20.0)

        t = lax.fori_loop(0, 30, body, 0.01)
        p = rd * t
        n = normal(p)
        light = jnp.array([0.5, 0.8, -0.3])
        light /= jnp.linalg.norm(light)

        def shadow(i, c):
            res, s = c
            h = sdf(p + n * 0.01 + light * s)
            return jnp.minimum(res, 8 * h / s), s + jnp.clip(h, 0.02, 0.5)

        sh, _ = lax.fori_loop(0, 10, shadow, (1.0, 0.05))
        col = jnp.maximum(jnp.dot(n, light), 0.0) * jnp.clip(sh, 0, 1)
        return lax.select(t < 19.9, col, 0.0)

    w = h = 6
    xs, ys = jnp.meshgrid(jnp.linspace(-1, 1, w), jnp.flip(jnp.linspace(-1, 1, h)))
    rd = jnp.stack([xs, ys, jnp.full_like(xs, 1.5)], axis=-1).reshape(-1, 3)
    rd = rd / jnp.linalg.norm(rd, axis=-1, keepdims=True)
    img = jax.jit(jax.vmap(march))(rd).reshape(h, w)
    return img, jnp.astype(jnp.clip(img, 0, 1) * 255, jnp.uint8).sum()


def automaton():
    """Rule 110, the game of life by convolution and by shifts, and bit operations."""
    rule = 110
    table = jnp.array([(rule >> i) & 1 for i in range(8)], dtype=jnp.uint8)

    def step(s, _):
        i = 4 * jnp.roll(s, 1) + 2 * s + jnp.roll(s, -1)
        return jnp.take(table, i), s

    s0 = at(jnp.zeros(31, jnp.uint8))[15].set(1)
    _, hist = lax.scan(step, s0, None, length=10)
    board = jnp.astype(random.bernoulli(random.key(0), 0.4, (12, 12)), jnp.int32)
    kern = jnp.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])

    def life(b):
        n = jsp.signal.convolve2d(b, kern, mode="same")
        return jnp.astype((n == 3) | ((b == 1) & (n == 2)), b.dtype)

    def life2(b):
        pad = jnp.pad(b, 1, mode="wrap")
        n = sum(pad[i : i + 12, j : j + 12] for i in range(3) for j in range(3)) - b
        return jnp.where(n == 3, 1, jnp.where(n == 2, b, 0))

    b1 = lax.fori_loop(0, 5, lambda i, b: life(b), board)
    b2 = jax.jit(lambda b: lax.fori_loop(0, 5, lambda i, b: life2(b), b))(board)
    # packed bits
    w = random.bits(random.key(5), (4,), jnp.uint32)
    return (
        hist.sum(1),
        b1,
        b2,
        jnp.astype(lax.population_count(w), jnp.int32),
        jnp.astype(jnp.bitwise_xor(jnp.right_shift(w, 3), jnp.left_shift(w, 5)), jnp.int32),
        jnp.packbits(hist[3]),
    )


def beam():
    """Beam search with top_k."""
    V, W, T = 7, 3, 5
    k1, k2 = random.split(random.key(0))
    trans = jax.nn.log_softmax(2 * random.normal(k1, (V, V)), axis=-1)
    first = jax.nn.log_softmax(random.normal(k2, (V,)))

    @jax.jit
    def search():
        sc, tok = lax.top_k(first, W)
        seqs = at(jnp.zeros((W, T), jnp.int32))[:, 0].set(tok)

        def step(t, c):
            seqs, sc = c
            last = jnp.take_along_axis(seqs, jnp.full((W, 1), t - 1), axis=1)[:, 0]
            cand = sc[:, None] + trans[last]
            sc, flat = lax.top_k(cand.reshape(-1), W)
            b, tok = jnp.divmod(flat, V)
            seqs = at(seqs[b])[:, t].set(tok)
            return seqs, sc

        return lax.fori_loop(1, T, step, (seqs, sc))

    return search()


def annealing():
    """A short tour through cities by simulated annealing."""
    n = 10
    xy = random.uniform(random.key(0), (n, 2))
    D = jnp.sqrt(((xy[:, None] - xy[None]) ** 2).sum(-1))

    def length(t):
        return D[t, jnp.roll(t, -1)].sum()

    def step(c, kT):
        tour, best, bl = c
        key, T = kT
        k1, k2, _k3 = random.split(key, 3)
        i, j = jnp.sort(random.choice(k1, n, (2,), replace=False))
        idx = jnp.arange(n)
        rev = jnp.where((idx >= i) & (idx <= j), i + j - idx, idx)
        new = tour[rev]
        d = length(new) - length(tour)
        acc = (d < 0) | (random.uniform(k2) < jnp.exp(-d / T))
        tour = jnp.where(acc, new, tour)
        l = length(tour)
        best = lax.cond(l < bl, lambda: tour, lambda: best)
        return (tour, best, jnp.minimum(l, bl)), acc

    Ts = jnp.geomspace(1.0, 0.05, 40)
    t0 = random.permutation(random.key(1), n)
    (_, best, bl), acc = jax.jit(lambda: lax.scan(step, (t0, t0, length(t0)), (random.split(random.key(2), 40), Ts)))()
    return best, bl, acc.sum()


def ntk():
    """The tangent kernel of a net by Jacobians and by products, and a Hessian."""
    k1, k2 = random.split(random.key(0))
    p = mlp_init(k1, [3, 10, 2])
    x = random.normal(k2, (4, 3))
    x2 = x[:2] + 0.1

    def f(p, x):
        return mlp(p, x)

    def emp(x1, x2):
        j1 = jax.vmap(jax.jacrev(f), (None, 0))(p, x1)
        j2 = jax.vmap(jax.jacrev(f), (None, 0))(p, x2)
        parts = jax.tree.map(
            lambda a, b: jnp.einsum("naf,mbf->nmab", a.reshape(*a.shape[:2], -1), b.reshape(*b.shape[:2], -1)), j1, j2
        )
        return sum(jax.tree.leaves(parts))

    K = jax.jit(emp)(x, x2)

    def byvp(x1, x2):
        def col(u):
            _, vjp = jax.vjp(lambda p: f(p, x2), p)
            return jax.jvp(lambda p: f(p, x1), (p,), vjp(u))[1]

        return jax.vmap(col)(jnp.eye(2)).T

    K2 = jax.vmap(jax.vmap(byvp, (None, 0)), (0, None))(x, x2)
    flat, unravel = jax.flatten_util.ravel_pytree(p)
    H = jax.hessian(lambda v: mlp(unravel(v), x).sum() ** 2)(flat)
    return K, K2, jnp.linalg.eigvalsh(H)[-3:], jnp.trace(H)


def convnet():
    """A convolutional net, its gradient and an adversarial step."""
    k = random.split(random.key(0), 4)
    x = random.normal(k[0], (6, 12, 12, 1))
    y = random.randint(k[1], (6,), 0, 3)
    p = {"c": 0.3 * random.normal(k[2], (3, 3, 1, 4)), "d": 0.1 * random.normal(k[3], (4 * 36, 3))}

    def fwd(p, x):
        h = lax.conv_general_dilated(x, p["c"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        h = lax.reduce_window(jax.nn.relu(h), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return h.reshape(h.shape[0], -1) @ p["d"]

    def loss(p):
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(fwd(p, x)) * jax.nn.one_hot(y, 3), -1))

    l0, g = jax.jit(jax.value_and_grad(loss))(p)
    p2 = jax.tree.map(lambda a, b: a - 0.1 * b, p, g)
    adv = x + 0.1 * jnp.sign(jax.grad(lambda x: fwd(p, x).sum())(x))
    return (
        l0,
        loss(p2),
        jnp.linalg.norm(adv),
        jax.image.resize(x[0, :, :, 0], (6, 6), "bilinear")[0],
        g["c"].sum((0, 1, 2)),
    )


SEARCH_PROGRAMS = {f.__name__: f for f in (pagerank, raymarch, automaton, beam, annealing, ntk, convnet)}
