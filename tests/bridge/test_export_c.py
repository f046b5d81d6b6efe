"""Functions exported as C: the documented commands build programs whose results have the bits of jitted functions."""

import re
import shlex
import subprocess

import pytest
import torch

import funcnet as fn
from funcnet.compiler.errors import NoCompilerError, StagingError, UnsupportedError
from funcnet.compiler.native import toolchain

KEY = fn.random.key(0)
X, Y = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0], [1.0], [1.0], [0.0]])
MODEL = fn.serial(fn.dense(4), torch.tanh, fn.dense(1))
SPECIAL = torch.tensor([float("nan"), -0.0, float("inf"), 0.1])
DEEP = fn.mlp([33, 40, 10])
IMAGES = fn.random.normal(KEY, (48, 33))


def loss(params, x, y):
    return fn.losses.sigmoid_binary_cross_entropy(MODEL.apply(params, x), y).mean()


def train(key, rate):
    def step(params, _):
        value, grads = fn.value_and_grad(loss)(params, X, Y)
        return fn.sgd_step(params, grads, rate), value

    return fn.scan(step, MODEL.init(key, X), length=300)


def train_by_adam(params, x):
    optimizer = fn.optim.adam(1e-2)

    def step(carry, _):
        params, state = carry
        grads = fn.grad(lambda p: fn.losses.log_cosh(DEEP.apply(p, x)).mean())(params)
        updates, state = optimizer.update(grads, state, params)
        return (fn.optim.apply_updates(params, updates), state), fn.tree.norm(grads)

    return fn.scan(step, (params, optimizer.init(params)), length=20)


def mixed(numbers, parts):
    """Return every kind of array: integers, bools, float64, 0-d, empty, captured and unchanged ones."""
    wide, flags = parts
    return {
        "shifted": numbers // 3 - 2,
        "bytes": numbers.to(torch.uint8),
        "flags": flags & (wide[:, 0] > 0),
        "wide": wide.exp() @ wide.mT,
        "total": wide.sum(),
        "none": numbers[:0],
        "same": numbers,
        "captured": SPECIAL,
        "scaled": SPECIAL * 3,
    }


MIXED = (torch.arange(-6, 6), (torch.linspace(-1, 2, 12, dtype=torch.float64).reshape(3, 4).mT, torch.ones(4) > 0))
slow = pytest.mark.slow
CASES = {
    "a training run": (train, (KEY, torch.tensor(1.0))),
    "dtypes": (mixed, MIXED),
    "a long sum": (lambda x: x.exp().sum(), (torch.linspace(-2, 2, 300_000),)),
    "a jitted function": pytest.param(fn.jit(loss), (MODEL.init(KEY, X), X, Y), marks=slow),
    "a jitted vmap": pytest.param(fn.jit(fn.vmap(loss, in_dims=(None, 0, 0))), (MODEL.init(KEY, X), X, Y), marks=slow),
    "a gradient": pytest.param(fn.grad(loss), (MODEL.init(KEY, X), X, Y), marks=slow),
    "wide products": pytest.param(train_by_adam, (DEEP.init(KEY, IMAGES), IMAGES), marks=slow),
    "no arguments": pytest.param(lambda: train(KEY, 0.5)[1], (), marks=slow),
    "a number": pytest.param(lambda key, n: fn.random.normal(key, (n,)) / n, (KEY, 5), marks=slow),
    "many runs": pytest.param(
        lambda keys: fn.vmap(train, in_dims=(0, None))(keys, 1.0), (fn.random.split(KEY, 5),), marks=slow
    ),
    "complex numbers": pytest.param(lambda z: (z.exp() / z, z.abs()), (torch.view_as_complex(X + 0.5),), marks=slow),
    "a triangular system": pytest.param(
        lambda a, b: torch.linalg.solve_triangular(a, b, upper=False),
        (torch.eye(37) + X[:1, :1] / 3, torch.ones(37, 1)),
        marks=slow,
    ),
    "libm": pytest.param(lambda x: (torch.lgamma(x), torch.erf(x), torch.sin(x)), (X + 0.3,), marks=slow),
}


def build(folder):
    """Run the command in the header with the C compiler of the native backend; return the program."""
    cc = toolchain.compiler()
    kind = "clang" if "__clang__" in cc.identity else "gcc"
    (line,) = re.findall(rf"^//   {kind} (.*)$", (folder / f"{folder.name}.h").read_text(), re.MULTILINE)
    subprocess.run([*cc.command, *shlex.split(line), "-Wall", "-Wno-unused-function"], cwd=folder, check=True)
    return folder / folder.name


def run(program, args, results):
    """Run a program on files of the arguments' bytes; return its exit status, its errors, and its results."""
    inputs = [leaf for leaf in fn.tree.leaves(args) if isinstance(leaf, torch.Tensor)]
    folder = program.parent
    names = [f"{name}{i}" for name, values in (("in", inputs), ("out", results)) for i in range(len(values))]
    for name, tensor in zip(names, inputs, strict=False):
        (folder / name).write_bytes(raw(tensor))
    done = subprocess.run([program, *names], cwd=folder, capture_output=True, text=True, check=False)
    found = [(folder / name).read_bytes() for name in names[len(inputs) :] if (folder / name).exists()]
    return done.returncode, done.stderr, found


def raw(tensor):
    return bytes(tensor.clone(memory_format=torch.contiguous_format).ravel().view(torch.uint8).tolist())


@pytest.mark.parametrize("f, args", CASES.values(), ids=CASES)
def test_the_program_has_the_bits_of_the_jitted_function(f, args, tmp_path):
    jitted = fn.jit(f)
    expected = [leaf for leaf in fn.tree.leaves(jitted(*args)) if isinstance(leaf, torch.Tensor)]
    assert jitted.explain(*args).backend == "native"
    fn.bridge.export_c(f, *args, path=tmp_path / "run")
    status, errors, found = run(build(tmp_path / "run"), args, expected)
    assert (status, errors) == (0, "")
    assert found == [raw(tensor) for tensor in expected]


@slow
@pytest.mark.parametrize(
    "f, args", [(train, (KEY, torch.tensor(1.0))), (train_by_adam, CASES["wide products"].values[1])]
)
def test_vectors_of_this_machine_give_the_same_bits(f, args, tmp_path):
    expected = fn.tree.leaves(fn.jit(f)(*args))
    fn.bridge.export_c(f, *args, path=tmp_path / "run", target="native")
    assert run(build(tmp_path / "run"), args, expected) == (0, "", [raw(tensor) for tensor in expected])


def checked(x, i):
    torch._assert_async(x[0] < 3, 'x[0] must be "small"')
    return x[i], x // x[1]


@pytest.fixture(scope="module")
def checker(tmp_path_factory):
    """Return the program of `checked`."""
    folder = tmp_path_factory.mktemp("exported") / "checked"
    fn.bridge.export_c(checked, torch.arange(3), torch.tensor(0), path=folder)
    return build(folder)


@pytest.mark.parametrize(
    "x, i, code", [((1, 2, 3), 2, 0), ((1, 2, 3), 3, 1), ((1, 0, 3), 0, 2), ((1, 0, 3), 9, 3), ((3, 2, 1), 0, 4)]
)
def test_failures_have_codes_and_write_nothing(x, i, code, checker):
    args = torch.tensor(x), torch.tensor(i)
    for old in checker.parent.glob("out*"):
        old.unlink()
    message = f"checked: failed with code {code}, see checked.h\n" if code else ""
    expected = [] if code else [raw(tensor) for tensor in checked(*args)]
    assert run(checker, args, args) == (bool(code), message, expected)


def test_the_header_lists_the_codes(checker):
    header = checker.with_suffix(".h").read_text()
    assert '//   2: an integer was divided by zero\n//   4: x[0] must be "small"\nint checked_run(' in header


def test_wrong_files_and_a_wrong_number_of_files_are_refused(checker):
    done = subprocess.run([checker], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "usage: checked FILE" in done.stderr and "2 inputs" in done.stderr
    for numbers in (2, 4):
        status, errors, _ = run(checker, (torch.arange(numbers), torch.tensor(0)), (X, X))
        assert (status, errors) == (1, "checked: in0: has another size than its array, see checked.h\n")


def test_the_header_describes_inputs_and_outputs(tmp_path):
    folder = tmp_path / "a" / "2-layer net"
    for value in (1.0, 2.0):  # the second export replaces the files of the first
        fn.bridge.export_c(
            lambda p, n, y=value: {"out\n*/": p["w"] * n + y}, {"w": torch.ones(2, 3)}, 2.0, path=str(folder)
        )
    assert sorted(path.name for path in folder.iterdir()) == ["_2_layer_net.c", "_2_layer_net.h", "main.c"]
    header = (folder / "_2_layer_net.h").read_text()
    assert "\n// inputs[0]: args.0.w: float32, shape (2, 3)\n" in header
    assert "\n// outputs[0]: result.out\\n*/: float32, shape (2, 3)\n" in header
    assert "\nint _2_layer_net_run(const void *const *inputs, void *const *outputs);\n" in header


def test_arrays_of_numpy_are_inputs(tmp_path):
    np = pytest.importorskip("numpy")
    fn.bridge.export_c(lambda x: x * 2, np.ones((3, 2), dtype=np.int16), path=tmp_path / "twice")
    assert "// inputs[0]: args.0: int16, shape (3, 2)\n" in (tmp_path / "twice" / "twice.h").read_text()


BAD = {
    "an unsupported operation": (lambda x: torch.histc(x), UnsupportedError, "export_c: this function .*histc"),
    "a random draw": (lambda x: x + torch.rand(2), StagingError, "random"),
    "a branch": (lambda x: x if x.sum() > 0 else -x, StagingError, "branch"),
    "no tensor": (lambda x: {"a": 1}, TypeError, "export_c: expected f to return a tensor.*got"),
    "no function": (torch.ones(2), TypeError, "export_c: expected f to be callable"),
}


@pytest.mark.parametrize("f, error, message", BAD.values(), ids=BAD)
def test_errors_leave_no_folder(f, error, message, tmp_path):
    with pytest.raises(error, match=message):
        fn.bridge.export_c(f, torch.ones(2), path=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_path_of_a_file_and_an_unknown_target_are_refused(tmp_path):
    (tmp_path / "file").write_text("content")
    with pytest.raises(NotADirectoryError, match="export_c: expected path to be a folder.*file"):
        fn.bridge.export_c(torch.sin, X, path=tmp_path / "file")
    with pytest.raises(ValueError, match="export_c: expected target .*'arm'"):
        fn.bridge.export_c(torch.sin, X, path=tmp_path / "new", target="arm")
    assert (tmp_path / "file").read_text() == "content"


def test_only_a_native_target_needs_a_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NoCompilerError, match="no-such-compiler"):
        fn.bridge.export_c(torch.sin, X, path=tmp_path / "sin", target="native")
    fn.bridge.export_c(torch.sin, X, path=tmp_path / "sin")
    assert (tmp_path / "sin" / "sin.c").exists()
