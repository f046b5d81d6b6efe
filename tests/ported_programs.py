"""Programs as one writes them in JAX: only these import lines differ."""

import funcnet.numpy as jnp
from funcnet import at, grad, jit, lax, nn, random, tree, vmap
from funcnet.scipy.special import logsumexp
from funcnet.scipy.stats import norm


def classifier():
    """A perceptron learns the quadrant of points: the loss before each of 20 steps, and the accuracy at the end."""

    def predict(params, inputs):
        activations = inputs
        for w, b in params[:-1]:
            activations = jnp.tanh(jnp.dot(activations, w) + b)
        logits = jnp.dot(activations, params[-1][0]) + params[-1][1]
        return logits - logsumexp(logits, axis=1, keepdims=True)

    def loss(params, batch):
        inputs, targets = batch
        return -jnp.mean(jnp.sum(predict(params, inputs) * targets, axis=1))

    def step(params, _):
        grads = grad(loss)(params, batch)
        return tree.map(lambda p, g: p - 0.5 * g, params, grads), loss(params, batch)

    keys = random.split(random.key(0), 4)
    sizes = [(2, 8), (8, 8), (8, 4)]
    params = [(random.normal(k, (m, n)) / jnp.sqrt(m), jnp.zeros(n)) for k, (m, n) in zip(keys[:3], sizes, strict=True)]
    inputs = random.uniform(keys[3], (32, 2), minval=-1.0, maxval=1.0)
    labels = 2 * (inputs[:, 0] > 0) + (inputs[:, 1] > 0)
    batch = (inputs, nn.one_hot(labels, 4))
    params, losses = jit(lambda params: lax.scan(step, params, None, length=20))(params)
    accuracy = jnp.mean(jnp.argmax(predict(params, inputs), axis=1) == labels)
    return losses, accuracy


def hidden_markov():
    """The log likelihood and its gradient for a model with two states and normal emissions."""
    observations = jnp.array([0.1, -0.3, 2.1, 1.7, 2.4, 0.2, -0.5])
    transitions = jnp.log(jnp.array([[0.9, 0.1], [0.2, 0.8]]))

    def likelihood(means):
        def step(alpha, observed):
            alpha = logsumexp(alpha[:, None] + transitions, axis=0) + norm.logpdf(observed, means, 0.5)
            return alpha, jnp.argmax(alpha)

        start = jnp.log(jnp.array([0.5, 0.5])) + norm.logpdf(observations[0], means, 0.5)
        alpha, _ = lax.scan(step, start, observations[1:])
        return logsumexp(alpha)

    means = jnp.array([0.0, 2.0])
    return jit(likelihood)(means), jit(grad(likelihood))(means)


def clusters():
    """The centres of k-means after five steps, sums by `at`."""
    points = random.normal(random.key(1), (40, 2)) + 4 * random.bernoulli(random.key(2), 0.5, (40, 1))

    def step(centres, _):
        distances = vmap(lambda p: jnp.linalg.norm(p - centres, axis=-1))(points)
        nearest = jnp.argmin(distances, axis=1)
        sums = at(jnp.zeros_like(centres))[nearest].add(points)
        counts = jnp.bincount(nearest, length=2)
        return sums / jnp.maximum(counts, 1)[:, None], jnp.std(jnp.min(distances, axis=1))

    return jit(lambda centres: lax.scan(step, centres, None, length=5))(points[:2])


PROGRAMS = {"classifier": classifier, "hidden_markov": hidden_markov, "clusters": clusters}
