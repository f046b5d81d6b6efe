"""Programs of control flow that the tests cross with laws: each is written once with funcnet and once in plain Python.

Each takes a number x and a vector w and returns a tree of tensors. Other values of x take other branches and other
numbers of steps. Those in FORWARD have a loop with a condition, which has no reverse derivative.
"""

import torch

import funcnet as fn


def branch(x, w):
    return fn.cond(x > 0, lambda a: (a.sqrt() * w).sum(), lambda a: a * a, x)


def branch_in_python(x, w):
    return (x.sqrt() * w).sum() if x > 0 else x * x


def several(x, w):
    return fn.switch(x.floor().long(), [lambda: x * w, lambda: w.exp() + x, lambda: 0.5 * w, torch.zeros(3).double])


def several_in_python(x, w):
    return (x * w, w.exp() + x, 0.5 * w, torch.zeros(3).double())[min(max(int(x.floor()), 0), 3)]


def selected(x, w):
    return fn.select(w > x, w * x, w - x)


def selected_in_python(x, w):
    return torch.stack([v * x if v > x else v - x for v in w])


def newton(x, w):
    """Take the square root of x^2 + 1, whose steps depend on x."""
    a = x * x + 1
    return fn.while_loop(lambda s: (s[0] * s[0] - a).abs() > 1e-3, lambda s: ((s[0] + a / s[0]) / 2, s[1] + 1), (a, 0))


def newton_in_python(x, w):
    a, steps = x * x + 1, 0
    root = a
    while (root * root - a).abs() > 1e-3:
        root, steps = (root + a / root) / 2, steps + 1
    return root, torch.tensor(steps)


def counted(x, w):
    return fn.fori_loop(1, 5, lambda i, c: c * w + x / i, w)


def counted_in_python(x, w):
    c = w
    for i in range(1, 5):
        c = c * w + x / i
    return c


def counted_by_tensors(x, w):
    return fn.fori_loop(0, x.abs().long(), lambda i, c: c.sin() + w[i % 3], x)


def counted_by_tensors_in_python(x, w):
    c = x
    for i in range(int(x.abs())):
        c = c.sin() + w[i % 3]
    return c


def backwards(x, w):
    return fn.scan(lambda c, v: (c * v + x, c - v), x, w, reverse=True)


def backwards_in_python(x, w):
    c, ys = x, []
    for v in reversed(list(w)):
        c, y = c * v + x, c - v
        ys.insert(0, y)
    return c, torch.stack(ys)


def one_by_one(x, w):
    return fn.map(lambda v: {"y": v * x, "n": 1}, w, batch_size=2)


def one_by_one_in_python(x, w):
    return {"y": torch.stack([v * x for v in w]), "n": torch.ones(3, dtype=torch.int64)}


def prefixes(x, w):
    """Compute y[i] = a[i] y[i-1] + b[i] as an associative scan of affine maps."""
    compose = lambda f, g: (f[0] * g[0], g[0] * f[1] + g[1])  # noqa: E731
    return fn.associative_scan(compose, (w * x, w + x)), fn.associative_scan(torch.mul, w + x, reverse=True)


def prefixes_in_python(x, w):
    a, b, rows = w[0] * x, w[0] + x, []
    rows.append((a, b))
    for v in w[1:]:
        a, b = a * v * x, v * x * b + v + x
        rows.append((a, b))
    products = [(w[i:] + x).prod() for i in range(3)]
    return tuple(torch.stack(column) for column in zip(*rows, strict=True)), torch.stack(products)


def branch_in_branch(x, w):
    inner = lambda: fn.switch(x.long(), [lambda: w.sum() * x, lambda: x.log()])  # noqa: E731
    return fn.cond(x > 0, inner, lambda: fn.cond(x < -2, lambda: x.exp(), lambda: x - w[0]))


def branch_in_branch_in_python(x, w):
    if x > 0:
        return x.log() if x >= 1 else w.sum() * x
    return x.exp() if x < -2 else x - w[0]


def branch_in_scan(x, w):
    """Stop to change once the carry is small."""

    def step(carry, v):
        c, stopped = carry
        after = fn.cond(stopped, lambda: c, lambda: c / 2 + v.sqrt())
        return (after, stopped | (after < 1)), after

    return fn.scan(step, (x, False), w.abs())


def branch_in_scan_in_python(x, w):
    c, stopped, ys = x, False, []
    for v in w.abs():
        c = c if stopped else c / 2 + v.sqrt()
        stopped = stopped or bool(c < 1)
        ys.append(c)
    return (c, torch.tensor(stopped)), torch.stack(ys)


def scan_in_branch(x, w):
    return fn.cond(x < 1, lambda: fn.scan(lambda c, v: (c * v, c), x, w)[0], lambda: x.log())


def scan_in_branch_in_python(x, w):
    return x * w.prod() if x < 1 else x.log()


def search(x, w):
    """Find the first element above x; the index stays in range where the loop has stopped."""
    return fn.while_loop(lambda i: fn.cond(i < 3, lambda: w[i] <= x, lambda: False), lambda i: i + 1, 0)


def search_in_python(x, w):
    return torch.tensor(next((i for i, v in enumerate(w) if v > x), 3))


def loop_in_branch(x, w):
    halve = lambda: fn.while_loop(lambda c: c > 1, lambda c: c / 2, x)  # noqa: E731
    return fn.cond(x > 0, halve, lambda: x + w.sum())


def loop_in_branch_in_python(x, w):
    if x <= 0:
        return x + w.sum()
    while x > 1:
        x = x / 2
    return x


def loop_in_loop(x, w):
    """Count the steps of two nested loops, both of which depend on x."""

    def outer(carry):
        i, c = carry
        return i + 1, fn.while_loop(lambda c: c < i * w[0], lambda c: c * 1.5 + 0.3, c)

    return fn.while_loop(lambda carry: carry[0] < x, outer, (0.0, x * x / 9))


def loop_in_loop_in_python(x, w):
    i, c = torch.tensor(0.0), x * x / 9
    while i < x:
        while c < i * w[0]:
            c = c * 1.5 + 0.3
        i = i + 1
    return i, c


def loop_in_scan(x, w):
    def step(c, v):
        c = fn.while_loop(lambda c: c.abs() > 1, lambda c: c / 3, c + v * x)
        return c, c * v

    return fn.scan(step, x, w)


def loop_in_scan_in_python(x, w):
    c, ys = x, []
    for v in w:
        c = c + v * x
        while c.abs() > 1:
            c = c / 3
        ys.append(c * v)
    return c, torch.stack(ys)


def mapped_branch(x, w):
    """Branch in a vmap inside: each element decides for itself."""
    return fn.vmap(lambda v: fn.cond(v > 0, lambda: (v * x.abs()).sqrt(), lambda: v * x))(w)


def mapped_branch_in_python(x, w):
    return torch.stack([(v * x.abs()).sqrt() if v > 0 else v * x for v in w])


def mapped_loop(x, w):
    return fn.vmap(lambda v: fn.while_loop(lambda c: c < 4, lambda c: c + v.abs() + 0.47, x))(w)


def mapped_loop_in_python(x, w):
    found = []
    for v in w:
        c = x
        while c < 4:
            c = c + v.abs() + 0.47
        found.append(c)
    return torch.stack(found)


PROGRAMS = {
    f.__name__: (f, globals()[f"{f.__name__}_in_python"])
    for f in (
        *(branch, several, selected, newton, counted, counted_by_tensors, backwards, one_by_one, prefixes),
        *(branch_in_branch, branch_in_scan, scan_in_branch, search, loop_in_branch, loop_in_loop, loop_in_scan),
        *(mapped_branch, mapped_loop),
    )
}
FORWARD = {
    *("newton", "counted_by_tensors", "search", "loop_in_branch", "loop_in_loop", "loop_in_scan", "mapped_loop"),
}
W = torch.tensor([0.9, -0.4, 1.7], dtype=torch.float64)
XS = torch.tensor([-2.6, -0.7, 0.3, 1.2, 2.8], dtype=torch.float64)
