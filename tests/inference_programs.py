# ruff: noqa: N803, N806, E741  names as in formulas
"""Programs of probabilistic inference as one writes them in JAX: only these import lines differ."""

import operator
from functools import partial

from ported_nets import mlp, mlp_init

import funcnet as jax
import funcnet.numpy as jnp
import funcnet.optim as optax
import funcnet.scipy as jsp
from funcnet import at, lax, random
from funcnet.scipy import stats


def sgld():
    """Bayesian regression by stochastic gradient Langevin dynamics: mean, deviation and quantiles of predictions."""
    k1, k2, k3 = random.split(random.PRNGKey(0), 3)
    x = jnp.linspace(-2, 2, 32)[:, None]
    y = jnp.sin(3 * x) + 0.1 * random.normal(k1, x.shape)
    params = mlp_init(k2, [1, 8, 1])

    def logpost(params, idx):
        xb, yb = jnp.take(x, idx, axis=0), jnp.take(y, idx, axis=0)
        loglik = stats.norm.logpdf(yb, mlp(params, xb), 0.1).mean() * x.shape[0]
        prior = jax.tree.reduce(operator.add, jax.tree.map(lambda p: stats.norm.logpdf(p).sum(), params))
        return loglik + prior

    @partial(jax.jit, static_argnames=("batch",))
    def step(params, key, i, batch=8):
        kb, kn = random.split(key)
        idx = random.choice(kb, x.shape[0], (batch,), replace=False)
        eps = 1e-4 / (1 + i) ** 0.55
        g = jax.grad(logpost)(params, idx)
        leaves, treedef = jax.tree.flatten(params)
        noise = jax.tree.unflatten(
            treedef,
            [random.normal(k, p.shape, p.dtype) for k, p in zip(random.split(kn, len(leaves)), leaves, strict=True)],
        )
        return jax.tree.map(lambda p, g, n: p + 0.5 * eps * g + jnp.sqrt(eps) * n, params, g, noise)

    preds = []
    for i in range(6):
        k3, k = random.split(k3)
        params = step(params, k, i)
        preds.append(mlp(params, x)[::8, 0])
    preds = jnp.stack(preds)
    return preds.mean(0), jnp.std(preds, axis=0), jnp.percentile(preds, jnp.array([5.0, 95.0]), axis=0)


def kalman_smoother():
    """A Kalman filter and the Rauch-Tung-Striebel smoother, and the gradient of the likelihood."""
    A = jnp.array([[1.0, 0.1], [0.0, 0.95]])
    C = jnp.array([[1.0, 0.0]])
    Q = 0.01 * jnp.eye(2)
    R = jnp.array([[0.1]])
    key = random.key(1)

    def sim(z, k):
        ka, kb = random.split(k)
        z = A @ z + random.multivariate_normal(ka, jnp.zeros(2), Q)
        return z, C @ z + jnp.sqrt(R[0, 0]) * random.normal(kb, (1,))

    _, ys = lax.scan(sim, jnp.zeros(2), random.split(key, 25))

    def filt(carry, y):
        m, P, ll = carry
        mp, Pp = A @ m, A @ P @ A.T + Q
        S = C @ Pp @ C.T + R
        K = jsp.linalg.solve(S, C @ Pp, assume_a="pos").T
        r = y - C @ mp
        m, P = mp + K @ r, Pp - K @ S @ K.T
        ll = ll + stats.multivariate_normal.logpdf(y, C @ mp, S)
        return (m, P, ll), (m, P, mp, Pp)

    def smooth(carry, inp):
        ms, Ps = carry
        m, P, mp, Pp = inp
        G = jnp.linalg.solve(Pp, A @ P).T
        ms = m + G @ (ms - mp)
        Ps = P + G @ (Ps - Pp) @ G.T
        return (ms, Ps), (ms, Ps)

    def run(ys):
        (m, P, ll), (mf, Pf, mp, Pp) = lax.scan(filt, (jnp.zeros(2), jnp.eye(2), 0.0), ys)
        (_, _), (ms, Ps) = lax.scan(smooth, (m, P), (mf[:-1], Pf[:-1], mp[1:], Pp[1:]), reverse=True)
        return ll, jnp.concatenate([ms, m[None]]), jnp.trace(Ps, axis1=-2, axis2=-1)

    return run(ys), jax.jit(run)(ys), jax.grad(lambda y: run(y)[0])(ys)[:5]


def realnvp():
    """A normalizing flow whose layers are the steps of a scan."""
    # masked affine coupling with learnt base, 2 moons
    k1, k2, k3 = random.split(random.key(2), 3)
    t = random.uniform(k1, (32,)) * jnp.pi
    x = jnp.where(
        jnp.arange(32)[:, None] % 2 == 0,
        jnp.stack([jnp.cos(t), jnp.sin(t)], 1),
        jnp.stack([1 - jnp.cos(t), 0.5 - jnp.sin(t)], 1),
    ) + 0.05 * random.normal(k2, (32, 2))
    masks = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    params = jax.vmap(lambda k: mlp_init(k, [2, 8, 4]))(random.split(k3, 2))

    def logp(params, x):
        def layer(c, pm):
            z, ld = c
            p, m = pm
            s, t = jnp.split(mlp(p, z * m), 2)
            s, t = jnp.tanh(s) * (1 - m), t * (1 - m)
            return (z * jnp.exp(s) + t, ld + s.sum()), None

        (z, ld), _ = lax.scan(layer, (x, 0.0), (params, masks))
        return stats.norm.logpdf(z).sum() + ld

    def nll(p):
        return -jax.vmap(partial(logp, p))(x).mean()

    opt = optax.adamw(1e-2, weight_decay=1e-3)

    def step(i, c):
        p, s = c
        u, s = opt.update(jax.grad(nll)(p), s, p)
        return optax.apply_updates(p, u), s

    p, _ = jax.jit(lambda p: lax.fori_loop(0, 8, step, (p, opt.init(p))))(params)
    J = jax.jacfwd(jax.grad(lambda x: logp(p, x)))(x[0])
    return nll(params), nll(p), jnp.round(J, 3)


def em():
    """Expectation maximisation until the likelihood stops growing."""
    k1, k2 = random.split(random.key(0))
    x = jnp.where(
        random.bernoulli(k1, 0.3, (200,)),
        random.normal(k2, (200,)) * 0.5 - 2,
        random.normal(random.fold_in(k2, 1), (200,)) + 1.5,
    )

    def e(w, mu, sd):
        lp = jnp.log(w) + stats.norm.logpdf(x[:, None], mu, sd)
        return jax.nn.softmax(lp, axis=-1), jsp.special.logsumexp(lp, axis=-1).sum()

    def cond(s):
        _, ll, old, i = s
        return jnp.logical_and(jnp.abs(ll - old) > 1e-3, i < 100)

    def body(s):
        (w, mu, sd), ll, _, i = s
        r, new = e(w, mu, sd)
        n = r.sum(0)
        mu = (r * x[:, None]).sum(0) / n
        sd = jnp.sqrt((r * (x[:, None] - mu) ** 2).sum(0) / n)
        return (n / len(x), mu, sd), new, ll, i + 1

    init = ((jnp.full(2, 0.5), jnp.array([-1.0, 1.0]), jnp.ones(2)), jnp.array(0.0), jnp.inf, 0)
    out = jax.jit(lambda: lax.while_loop(cond, body, init))()
    return out[0], out[1]


def svgd():
    """Stein variational gradient descent."""

    def logp(x):
        return jnp.logaddexp(
            stats.norm.logpdf(x, -2, 1).sum() + jnp.log(1 / 3), stats.norm.logpdf(x, 2, 1).sum() + jnp.log(2 / 3)
        )

    def kernel(X):
        d2 = jnp.sum((X[:, None] - X[None]) ** 2, -1)
        h = jnp.median(d2) / jnp.log(X.shape[0] + 1.0)
        return jnp.exp(-d2 / h), h

    @jax.jit
    def step(X, _):
        K, h = kernel(X)
        G = jax.vmap(jax.grad(logp))(X)
        rep = 2 / h * (K.sum(1, keepdims=True) * X - K @ X)
        return X + 0.3 * (K @ G + rep) / X.shape[0], X.mean()

    X, m = lax.scan(step, random.normal(random.key(0), (16, 1)) - 10, None, length=10)
    return X[:, 0], m


def bayes_opt():
    """Bayesian optimisation with a Gaussian process in arrays of fixed size."""

    def f(x):
        return jnp.sin(3 * x) + x**2 - 0.7 * x

    grid = jnp.linspace(-1, 2, 40)

    def k(a, b):
        return jnp.exp(-0.5 * (a[:, None] - b) ** 2 / 0.3**2)

    X = jnp.full((8,), jnp.nan)
    X = at(X)[:2].set(jnp.array([-0.5, 1.5]))

    def step(n, X):
        m = jnp.arange(8) < n
        Xs = jnp.where(m, X, 0.0)
        Y = jnp.where(m, f(Xs), 0)
        K = jnp.where(m[:, None] & m, k(Xs, Xs), jnp.eye(8)) + 1e-3 * jnp.eye(8)
        ks = jnp.where(m, k(grid, Xs), 0)
        a = jnp.linalg.solve(K, Y)
        mu = ks @ a
        var = 1 - jnp.einsum("ij,ji->i", ks, jnp.linalg.solve(K, ks.T))
        sd = jnp.sqrt(jnp.maximum(var, 1e-9))
        best = jnp.min(Y, where=m, initial=jnp.inf)
        z = (best - mu) / sd
        ei = (best - mu) * stats.norm.cdf(z) + sd * stats.norm.pdf(z)
        return at(X)[n].set(grid[jnp.argmax(ei)])

    X = jax.jit(lambda X: lax.fori_loop(2, 8, step, X))(X)
    return X, jnp.nanmin(f(X)), jnp.interp(jnp.array([0.3, 2.5]), grid, f(grid)), jnp.polyfit(grid, f(grid), 2)


def reinforce():
    """Policy gradients from rollouts inside of vmap."""

    def env_step(s, a):
        x, v = s
        v = 0.9 * v + 0.1 * (2 * a - 1)
        x = jnp.clip(x + v, -2.0, 2.0)
        return (x, v), -jnp.abs(x)

    def rollout(params, key):
        def step(carry, key):
            s = carry
            logits = mlp(params, jnp.stack(s))
            a = random.categorical(key, logits)
            s, r = env_step(s, a)
            return s, (jnp.stack(s), a, r, jax.nn.log_softmax(logits)[a])

        k0, k1 = random.split(key)
        s0 = tuple(random.uniform(k0, (2,), minval=-1, maxval=1))
        return lax.scan(step, s0, random.split(k1, 15))[1]

    def returns(r, gamma=0.95):
        return lax.scan(lambda c, r: ((c := r + gamma * c), c), 0.0, r, reverse=True)[1]

    def loss(params, key):
        _, _a, r, logp = jax.vmap(rollout, in_axes=(None, 0))(params, random.split(key, 6))
        G = jax.vmap(returns)(r)
        adv = (G - G.mean()) / (jnp.std(G) + 1e-6)
        return -jnp.mean(jnp.sum(logp * lax.stop_gradient(adv), axis=1)), r.sum(1).mean()

    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-2, 10)))
    params = mlp_init(random.key(0), [2, 8, 2])
    st = tx.init(params)

    @jax.jit
    def train(carry, key):
        params, st = carry
        (l, ret), g = jax.value_and_grad(loss, has_aux=True)(params, key)
        up, st = tx.update(g, st)
        return (optax.apply_updates(params, up), st), (l, ret)

    (_, _), out = lax.scan(train, (params, st), random.split(random.key(5), 4))
    return out


INFERENCE_PROGRAMS = {f.__name__: f for f in (sgld, kalman_smoother, realnvp, em, svgd, bayes_opt, reinforce)}
