"""More programs as one writes them in JAX: only these import lines differ."""

import funcnet.numpy as jnp
import funcnet.scipy as jsp
from funcnet import at, grad, jit, lax, nn, optim, random, tree, value_and_grad, vmap
from funcnet.ops import segment_sum
from funcnet.scipy.special import logsumexp
from funcnet.scipy.stats import multivariate_normal, norm


def mlp_init(key, sizes):
    keys = random.split(key, len(sizes) - 1)
    return [
        {"w": random.normal(k, (m, n)) * jnp.sqrt(2.0 / m), "b": jnp.zeros(n)}
        for k, m, n in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def mlp(params, x, act=jnp.tanh):
    for p in params[:-1]:
        x = act(x @ p["w"] + p["b"])
    return x @ params[-1]["w"] + params[-1]["b"]


def train(loss, params, steps, rate=0.05):
    """Return the losses of gradient descent with a key per step."""

    def step(params, key):
        value, grads = value_and_grad(loss)(params, key)
        return tree.map(lambda p, g: p - rate * g, params, grads), value

    return jit(lambda params: lax.scan(step, params, random.split(random.key(7), steps)))(params)[1]


def mixture():
    """Expectation maximisation for a mixture of three normal distributions in the plane."""
    keys = random.split(random.key(0), 3)
    shifts = jnp.array([[0.0, 0.0], [3.0, 3.0], [-4.0, 2.0]])
    x = jnp.concatenate([random.normal(k, (20, 2)) + shift for k, shift in zip(keys, shifts, strict=True)])

    def log_prob(means, covs):
        chol = jnp.linalg.cholesky(covs)
        diff = x[:, None] - means
        solve = vmap(lambda low, d: jsp.linalg.solve_triangular(low, d.T, lower=True).T, in_axes=(0, 1), out_axes=1)
        logdet = jnp.sum(jnp.log(jnp.diagonal(chol, axis1=-2, axis2=-1)), -1)
        return -0.5 * jnp.sum(solve(chol, diff) ** 2, -1) - logdet - jnp.log(2 * jnp.pi)

    def step(params, _):
        weights, means, covs = params
        logp = jnp.log(weights) + log_prob(means, covs)
        norms = logsumexp(logp, axis=1, keepdims=True)
        r = jnp.exp(logp - norms)
        n = r.sum(0)
        means = (r.T @ x) / n[:, None]
        diff = x[:, None] - means
        covs = jnp.einsum("nk,nki,nkj->kij", r, diff, diff) / n[:, None, None] + 1e-6 * jnp.eye(2)
        return (n / len(x), means, covs), norms.mean()

    start = (jnp.ones(3) / 3, x[jnp.array([0, 25, 50])], jnp.tile(jnp.eye(2), (3, 1, 1)))
    return jit(lambda params: lax.scan(step, params, None, length=5))(start)


def kalman():
    """The likelihood of a linear system and its gradient in the variances, by the Kalman filter."""
    a = jnp.array([[1.0, 1.0], [0.0, 1.0]])
    h = jnp.array([[1.0, 0.0]])
    observed = jnp.cumsum(random.normal(random.key(0), (20, 1)), axis=0)

    def loss(params):
        q, r = jnp.exp(params[0]) * jnp.eye(2), jnp.exp(params[1]) * jnp.eye(1)

        def step(carry, z):
            m, p = carry
            m, p = a @ m, a @ p @ a.T + q
            s = h @ p @ h.T + r
            gain = jnp.linalg.solve(s, h @ p).T
            return (m + gain @ (z - h @ m), (jnp.eye(2) - gain @ h) @ p), multivariate_normal.logpdf(z, h @ m, s)

        return -lax.scan(step, (jnp.zeros(2), jnp.eye(2) * 10), observed)[1].sum()

    return jit(value_and_grad(loss))(jnp.array([-2.0, 0.0]))


def replay():
    """Q-learning with a target network and a replay buffer, written by dynamic_update_slice."""
    capacity, optimizer = 30, optim.adam(1e-2)

    def loss(params, target, batch):
        q = jnp.take_along_axis(mlp(params, batch["s"], nn.relu), batch["a"][:, None], axis=1)[:, 0]
        goal = batch["r"] + 0.9 * jnp.max(mlp(target, batch["next"], nn.relu), axis=1)
        return jnp.mean((q - lax.stop_gradient(goal)) ** 2)

    def step(carry, key):
        params, target, state, buffer, s, i = carry
        explore, act, noise, draw = random.split(key, 4)
        greedy = jnp.astype(jnp.argmax(mlp(params, s, nn.relu)), jnp.int32)
        a = jnp.where(random.uniform(explore) < 0.3, random.randint(act, (), 0, 2), greedy)
        s2 = 0.9 * s + 0.1 * (2.0 * a - 1) * jnp.array([1.0, -1.0]) + 0.05 * random.normal(noise, (2,))
        row = {"s": s, "a": a, "r": -jnp.sum(s2**2), "next": s2}
        start = i % capacity
        buffer = tree.map(lambda b, v: lax.dynamic_update_slice(b, v[None], (start,) + (0,) * v.ndim), buffer, row)
        chosen = random.randint(draw, (8,), 0, jnp.minimum(i + 1, capacity))
        value, grads = value_and_grad(loss)(params, target, tree.map(lambda b: b[chosen], buffer))
        updates, state = optimizer.update(grads, state)
        params = optim.apply_updates(params, updates)
        target = tree.map(lambda t, p: jnp.where(i % 10 == 0, p, t), target, params)
        return (params, target, state, buffer, s2, i + 1), (value, a)

    params = mlp_init(random.key(0), [2, 8, 2])
    numbers, states = jnp.zeros(capacity), jnp.zeros((capacity, 2))
    buffer = {"s": states, "a": jnp.zeros(capacity, dtype=jnp.int32), "r": numbers, "next": states}
    start = (params, params, optimizer.init(params), buffer, jnp.ones(2), 0)
    return jit(lambda keys: lax.scan(step, start, keys)[1])(random.split(random.key(1), 40))


def viterbi():
    """The most probable path of a hidden Markov model: a scan, and one in reverse over its choices."""
    keys = random.split(random.key(0), 3)
    change = nn.log_softmax(random.normal(keys[0], (4, 4)), axis=-1)
    shown = nn.log_softmax(random.normal(keys[1], (4, 5)), axis=-1)
    observed = random.randint(keys[2], (30,), 0, 5)

    def run(change):
        def forward(d, o):
            s = d[:, None] + change
            return jnp.max(s, axis=0) + shown[:, o], jnp.argmax(s, axis=0)

        d, back = lax.scan(forward, shown[:, observed[0]], observed[1:])
        path = lax.scan(lambda s, b: (b[s], b[s]), jnp.argmax(d), back, reverse=True)[1]
        return path, jnp.max(d)

    return jit(run)(change)


def transport():
    """Entropic optimal transport by Sinkhorn's iteration, and its gradient through the loop."""
    x, y = random.normal(random.key(0), (6, 2)), random.normal(random.key(1), (7, 2)) + 1

    def cost(x):
        c = jnp.sum((x[:, None] - y[None]) ** 2, -1)

        def body(_, fg):
            f = 0.5 * (-jnp.log(6.0) - logsumexp((fg[1][None] - c) / 0.5, axis=1))
            return f, 0.5 * (-jnp.log(7.0) - logsumexp((f[:, None] - c) / 0.5, axis=0))

        f, g = lax.fori_loop(0, 10, body, (jnp.zeros(6), jnp.zeros(7)))
        return jnp.sum(jnp.exp((f[:, None] + g[None] - c) / 0.5) * c)

    return jit(value_and_grad(cost))(x)


def warping():
    """Soft dynamic time warping: scans in a scan, and the gradient."""
    a, b = random.normal(random.key(0), (6,)), random.normal(random.key(1), (7,))

    def distance(a):
        def row(previous, costs):
            def column(left, at_column):
                up, diagonal, c = at_column
                v = c - logsumexp(-jnp.stack([left, up, diagonal]))
                return v, v

            _, new = lax.scan(column, 1e10, (previous[1:], previous[:-1], costs))
            return jnp.concatenate([jnp.array([1e10]), new]), None

        start = at(jnp.full(8, 1e10))[0].set(0.0)
        return lax.scan(row, start, (a[:, None] - b[None]) ** 2)[0][-1]

    return jit(value_and_grad(distance))(a)


def thompson():
    """Bandits that choose an arm by draws of beta distributions, each with a key."""

    def run(key):
        def step(carry, key):
            counts, sums = carry
            draw, win = random.split(key)
            arm = jnp.argmax(random.beta(draw, 1 + sums, 1 + counts - sums))
            reward = jnp.astype(random.bernoulli(win, jnp.array([0.2, 0.5, 0.7])[arm]), jnp.float32)
            return (at(counts)[arm].add(1.0), at(sums)[arm].add(reward)), arm

        return lax.scan(step, (jnp.zeros(3), jnp.zeros(3)), random.split(key, 15))

    return jit(vmap(run))(random.split(random.key(0), 3))


def flow():
    """A normalizing flow of coupling layers learns a correlated normal distribution."""
    x = random.normal(random.key(1), (16, 2)) @ jnp.array([[1.0, 0.5], [0.0, 0.5]])

    def loss(params, key):
        z, logdet = x, jnp.zeros(16)
        for i, p in enumerate(params):
            a, b = jnp.split(z, 2, axis=-1)
            a, b = (b, a) if i % 2 else (a, b)
            s, t = jnp.split(mlp(p, a, nn.relu), 2, axis=-1)
            b = b * jnp.exp(jnp.tanh(s)) + t
            logdet += jnp.tanh(s).sum(-1)
            z = jnp.concatenate([b, a] if i % 2 else [a, b], axis=-1)
        return -jnp.mean(norm.logpdf(z).sum(-1) + logdet)

    return train(loss, [mlp_init(k, [1, 8, 2]) for k in random.split(random.key(0), 2)], 5)


def messages():
    """A graph network: messages along edges, summed by segment_sum."""
    keys = random.split(random.key(0), 5)
    send, receive = random.randint(keys[0], (30,), 0, 10), random.randint(keys[1], (30,), 0, 10)
    x, y = random.normal(keys[2], (10, 4)), random.randint(keys[3], (10,), 0, 3)
    degree = jnp.maximum(segment_sum(jnp.ones(30), receive, 10), 1)

    def loss(params, key):
        h = x
        for p in params[:-1]:
            m = mlp(p, jnp.concatenate([h[send], h[receive]], axis=1), nn.relu)
            h = nn.relu(h + segment_sum(m, receive, 10) / degree[:, None])
        return -jnp.mean(jnp.take_along_axis(nn.log_softmax(mlp(params[-1], h)), y[:, None], axis=1))

    params = [mlp_init(k, [8, 4, 4]) for k in random.split(keys[4], 2)] + [mlp_init(random.key(9), [4, 3])]
    return train(loss, params, 4)


def words():
    """Skip-gram with negative samples: gradients of rows of two tables."""
    keys = random.split(random.key(0), 4)
    params = {"in": random.normal(keys[0], (50, 8)), "out": random.normal(keys[1], (50, 8))}
    centre, context = (random.randint(k, (16,), 0, 50) for k in keys[2:])

    def loss(params, key):
        v, u = params["in"][centre], params["out"][context]
        n = params["out"][random.randint(key, (16, 5), 0, 50)]
        against = nn.log_sigmoid(-jnp.einsum("bd,bnd->bn", v, n)).sum(-1)
        return -jnp.mean(nn.log_sigmoid(jnp.sum(v * u, axis=-1)) + against)

    return train(loss, params, 4)


def turns():
    """Leapfrog steps until the path turns back: a while_loop with a gradient, under vmap."""

    def logp(q):
        return -0.5 * jnp.sum(q**2 / jnp.arange(1.0, 5.0)) - 0.1 * jnp.sum(jnp.cos(q))

    def path(key):
        q0, p0 = random.normal(key, (2, 4))

        def body(s):
            q, p, i = s
            p = p + 0.1 * grad(logp)(q)
            q = q + 0.2 * p
            return q, p + 0.1 * grad(logp)(q), i + 1

        return lax.while_loop(lambda s: (jnp.dot(s[0] - q0, s[1]) >= 0) & (s[2] < 50), body, (q0, p0, 0))

    return jit(vmap(path))(random.split(random.key(0), 5))


def ising():
    """Gibbs sampling of spins on a torus, on the black and the white places by turns."""
    parity = (jnp.arange(8)[:, None] + jnp.arange(8)[None]) % 2

    def step(s, key):
        for i, k in enumerate(random.split(key)):
            around = jnp.roll(s, 1, 0) + jnp.roll(s, -1, 0) + jnp.roll(s, 1, 1) + jnp.roll(s, -1, 1)
            up = random.uniform(k, (8, 8)) < nn.sigmoid(0.88 * around)
            s = jnp.where(parity == i, jnp.where(up, 1, -1), s)
        return s, jnp.mean(s)

    start = 2 * jnp.astype(random.bernoulli(random.key(1), 0.5, (8, 8)), jnp.int32) - 1
    return jit(lambda s, keys: lax.scan(step, s, keys))(start, random.split(random.key(0), 10))


MORE_PROGRAMS = {
    f.__name__: f
    for f in (mixture, kalman, replay, viterbi, transport, warping, thompson, flow, messages, words, turns, ising)
}
