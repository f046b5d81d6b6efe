"""Wrong calls of fit and of checkpoints: each error says what was expected, what came, and what to do."""

import pytest
import torch

import funcnet as fn
from funcnet.checkpoint import CheckpointError, Checkpoints

W, XS = torch.zeros(3), torch.ones(8, 3)
STEP = lambda w, x: (w + x, {"loss": w.sum()})  # noqa: E731
COUNT = lambda n, x: (n + 1, {"n": n})  # noqa: E731


def fit(*args, **options):
    return fn.fit(*args, **{"backend": "eager", **options})


def stopping(metric="loss", patience=1, **options):
    return lambda folder: fit(STEP, W, XS, on_chunk=[fn.callbacks.EarlyStopping(metric, patience, **options)])


def again(folder, carry=W, **options):
    """Go on with a run of 8 steps."""
    fit(STEP, W, XS, on_chunk=[fn.callbacks.EarlyStopping("loss", 99)], checkpoints=folder)
    return fit(
        STEP, carry, XS, **{"on_chunk": [fn.callbacks.EarlyStopping("loss", 99)], "checkpoints": folder, **options}
    )


def with_attribute(folder):
    torch.save({"w": W}, folder / "w.pt")
    return fn.checkpoint.load(folder / "w.pt")


ERRORS = {
    "no step": (lambda _: fit(None, W, XS), TypeError, "fit: expected f to be callable, got None"),
    "a layer as step": (lambda _: fit(fn.dense(3), W, XS), TypeError, "fit: expected f to be callable, got .*apply"),
    "neither steps nor xs": (lambda _: fit(STEP, W), ValueError, "expected `steps`, or an xs .* got neither"),
    "no steps": (lambda _: fit(COUNT, 0, steps=0), ValueError, "steps to be an int of at least 1, got 0"),
    "half a step": (lambda _: fit(COUNT, 0, steps=2.5), ValueError, r"steps to be an int of at least 1, got 2\.5"),
    "steps that are a bool": (lambda _: fit(COUNT, 0, steps=True), ValueError, "steps to be an int .*got True"),
    "chunks of no steps": (lambda _: fit(STEP, W, XS, every=0), ValueError, "every to be an int of at least 1, got 0"),
    "rows of different numbers": (
        lambda _: fit(STEP, W, {"x": XS, "y": XS[:5]}),
        ValueError,
        r"tree of tensors with a common leading axis, a row per step, got .*\(8, 3\).*\(5, 3\)",
    ),
    "no rows": (lambda _: fit(STEP, W, XS[:0]), ValueError, r"common leading axis.*\(0, 3\)"),
    "a number as inputs": (lambda _: fit(STEP, W, 3.0), ValueError, "iterable of batches, or a tree of tensors.*3.0"),
    "a string as inputs": (lambda _: fit(STEP, W, "train"), ValueError, "iterable of batches, or a tree .*'train'"),
    "a list of strings": (lambda _: fit(STEP, W, iter(["a"])), TypeError, "in a batch, at the tree itself.*got 'a'"),
    "an empty iterator": (lambda _: fit(STEP, W, iter([])), ValueError, "at least one batch, got none"),
    "an empty list that begins again": (
        lambda _: fit(STEP, W, torch.utils.data.DataLoader([]), steps=3),
        ValueError,
        "expected an iterable of batches, got .*DataLoader.*, which is empty",
    ),
    "a function that returns no iterator": (
        lambda _: fit(STEP, W, lambda start: None),
        TypeError,
        "function from the number of steps taken to an iterable of batches, but it returned None",
    ),
    "a callback that is not callable": (
        lambda _: fit(STEP, W, XS, on_chunk=["log"]),
        TypeError,
        r"expected on_chunk to be a list of functions, got \['log'\]",
    ),
    "one callback without a list": (lambda _: fit(STEP, W, XS, on_chunk=print), TypeError, "a list of functions, got"),
    "a callback that returns True": (
        lambda _: fit(STEP, W, XS, on_chunk=[lambda *_: True]),
        TypeError,
        r"expected the callback .*<lambda> to return None or fn\.STOP, got True",
    ),
    "an unknown metric": (stopping("accuracy"), ValueError, r"expected a metric 'accuracy', got those .*\['loss'\]"),
    "no metric": (stopping(3), TypeError, "EarlyStopping: expected metric to be the path of a metric, or .* got 3"),
    "no patience": (stopping(patience=0), ValueError, "patience to be an int of at least 1, got 0"),
    "a negative improvement": (stopping(min_delta=-1.0), ValueError, r"a finite min_delta of at least 0, got -1\.0"),
    "a metric of complex numbers": (
        lambda _: fit(
            lambda w, x: (w, {"z": w.sum() * 1j}), W, XS, on_chunk=[fn.callbacks.EarlyStopping("z", patience=1)]
        ),
        TypeError,
        r"expected a metric of real numbers, got complex64 tensor of shape \(\d+,\) on cpu at 'z'",
    ),
    "a function that measures no number": (
        stopping(lambda carry, metrics: carry),
        TypeError,
        r"expected metric to return a number, got float32 tensor of shape \(3,\)",
    ),
    "a function that measures a text": (stopping(lambda *_: "low"), TypeError, "to return a number, got 'low'"),
    "a stop with another carry": (
        lambda _: fit(STEP, W, XS, on_chunk=[lambda *_: fn.callbacks.Stop("over", carry={"w": W})]),
        ValueError,
        r"the callback .*<lambda> to stop with a carry like the one it got, but they differ at the root",
    ),
    "metrics of batches that differ in size": (
        lambda _: fit(lambda w, x: (w, x), W, torch.utils.data.DataLoader(XS, batch_size=3)),
        ValueError,
        r"metrics of the same paths, shapes and dtypes, .*\(3, 3\).* then .*\(2, 3\).*return means",
    ),
    "a bar that is not wanted or unwanted": (
        lambda _: fit(STEP, W, XS, progress="no"),
        TypeError,
        "expected progress to be a bool, got 'no'",
    ),
    "a best metric that is not there": (
        lambda folder: fit(STEP, W, XS, checkpoints=Checkpoints(folder, keep_best="los")),
        ValueError,
        r"keep_best to name an entry of metadata, got 'los' and entries \['loss'\]",
    ),
    "a folder that is a file": (
        lambda folder: (folder / "a").write_text("mine") and fit(STEP, W, XS, checkpoints=folder / "a"),
        CheckpointError,
        r"a folder that can be written to, got .*a: .*File exists.*\. Choose another folder",
    ),
    "lines without a file": (lambda _: fn.callbacks.JsonLines(3), TypeError, "path to be a str or Path, got 3"),
    "a step without metrics": (lambda _: fit(lambda w, x: w, W, XS), TypeError, r"return a pair .*\(carry, None\)"),
    "a carry that grows": (
        lambda _: fit(lambda w, x: (torch.cat([w, x]), None), W, XS),
        ValueError,
        r"return a carry like the one it got, .*\(3,\).*\(6,\)",
    ),
    "metrics that are not tensors": (lambda _: fit(lambda w, x: (w, 1.0), W, XS), ValueError, "a tensor to stack"),
    "an unknown backend": (lambda _: fit(STEP, W, XS, backend="gpu"), ValueError, "backend to be one of .* 'gpu'"),
    "checkpoints that are a number": (
        lambda _: fit(STEP, W, XS, checkpoints=3),
        TypeError,
        "expected checkpoints to be a folder or a Checkpoints, got 3",
    ),
    "inside jit": (lambda _: fn.jit(lambda w: fit(STEP, w, XS)[0])(W), RuntimeError, "outside of jit.* use fn.scan"),
    "inside grad": (
        lambda _: fn.grad(lambda w: fit(STEP, w, XS)[0].sum())(W),
        RuntimeError,
        "outside of jit, grad and vmap",
    ),
    "fewer steps than before": (
        lambda folder: again(folder, steps=5),
        ValueError,
        "expected checkpoints of at most 5 steps, got one of step 8 in .*Raise `steps`, or use another folder",
    ),
    "the folder of another run": (
        lambda folder: again(folder, torch.zeros(4)),
        CheckpointError,
        r'at path "carry": expected float32 tensor of shape \(4,\) .* got float32 tensor of shape \(3,\) in the file',
    ),
    "other callbacks than before": (
        lambda folder: again(folder, on_chunk=[fn.callbacks.JsonLines(folder / "a")]),
        ValueError,
        r"the callbacks with a state .*\['EarlyStopping'\], in on_chunk, got \['JsonLines'\]",
    ),
    "an iterator that was used before": (
        lambda folder: (
            again(folder / "a") and fit(STEP, W, iter(XS[:2]), steps=20, checkpoints=folder / "b")
            if Checkpoints(folder / "b").save({"carry": W, "metrics": (), "states": (), "message": None}, step=9)
            else None
        ),
        ValueError,
        "an iterator with more than the 9 batches that this run has taken before, got one with 2",
    ),
    "an object in a tree": (
        lambda folder: fn.checkpoint.save(folder / "x", {"a": [object()]}),
        CheckpointError,
        r'at path "a\.0": expected a tensor or a plain value .* of type object. Convert it',
    ),
    "a function in a tree": (
        lambda folder: fn.checkpoint.save(folder / "x", {"f": torch.tanh}),
        CheckpointError,
        'at path "f": expected a tensor or a plain value',
    ),
    "a sparse tensor": (
        lambda folder: fn.checkpoint.save(folder / "x", {"s": XS.to_sparse()}),
        CheckpointError,
        'path "s": expected a dense tensor.*to_dense',
    ),
    "a tensor without values": (
        lambda folder: fn.checkpoint.save(folder / "x", [W.to("meta")]),
        CheckpointError,
        'path "0": expected a dense tensor with values, got .* on meta',
    ),
    "a step that is not a number": (
        lambda folder: fn.checkpoint.save(folder / "x", W, step="last"),
        TypeError,
        "expected step to be an int, got 'last'",
    ),
    "a negative step": (
        lambda folder: fn.checkpoint.save(folder / "x", W, step=-1),
        ValueError,
        "expected step to be at least 0, got -1",
    ),
    "a folder instead of a file": (
        lambda folder: fn.checkpoint.load(folder),
        IsADirectoryError,
        r"expected a file, got the folder .*Checkpoints\(folder\)\.restore\(\)",
    ),
    "metadata that is not a dict": (
        lambda folder: fn.checkpoint.save(folder / "x", W, metadata=[1]),
        TypeError,
        r"expected metadata to be a mapping, such as a dict, got \[1\]",
    ),
    "no path": (lambda _: fn.checkpoint.save(3, W), TypeError, "checkpoint.save: expected path to be a str or Path"),
    "no file": (lambda folder: fn.checkpoint.load(folder / "x"), FileNotFoundError, "x"),
    "a file of torch.save": (with_attribute, CheckpointError, "w.pt is not an intact checkpoint"),
    "no folder": (lambda _: Checkpoints(None), TypeError, "Checkpoints: expected folder to be a str or Path, got None"),
    "nothing to keep": (lambda folder: Checkpoints(folder, keep=0), ValueError, "keep to be an int .* got 0"),
    "no time": (lambda folder: Checkpoints(folder, minutes=0), ValueError, "minutes to be a positive number, got 0"),
    "a truth value as time": (
        lambda folder: Checkpoints(folder, minutes=True),
        ValueError,
        "positive number, got True",
    ),
    "the best of nothing": (lambda folder: Checkpoints(folder).best(), ValueError, "expected keep_best to be set"),
    "a best that is not a name": (lambda folder: Checkpoints(folder, keep_best=1), TypeError, "the name of a metric"),
    "a rate that is constant": (
        lambda _: fn.optim.learning_rate(fn.optim.adam(0.1).init(W)),
        ValueError,
        r"the state holds no learning rate\. Build the optimizer with a schedule",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_wrong_calls(name, tmp_path):
    call, kind, message = ERRORS[name]
    with pytest.raises(kind, match=message):
        call(tmp_path)
