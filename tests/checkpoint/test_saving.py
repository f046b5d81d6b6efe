"""Trees come back from files as they were; files that differ from `like` are refused."""

import dataclasses
import json
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from tables import OPTIMIZERS, TREES, Affine, Point, numbers

import funcnet as fn
from funcnet.checkpoint import CheckpointError, load, save


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "tree.safetensors"


def same(a, b):
    return fn.tree.structure(a) == fn.tree.structure(b) and fn.tree.equal(a, b)


@pytest.mark.parametrize("with_like", [False, True])
@pytest.mark.parametrize("name", TREES)
def test_every_tree_round_trips(name, with_like, path):
    value = TREES[name]()
    save(path, value, step=3)
    loaded = load(
        path,
        like=fn.tree.map(lambda x: torch.zeros_like(x) if fn.tree.is_tensor(x) else x, value) if with_like else None,
    )
    assert same(loaded.tree, value) and (loaded.step, loaded.metadata) == (3, {})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_state_round_trips(name, path):
    state = OPTIMIZERS[name]().init({"w": numbers(3, 2), "b": numbers(2, seed=1)})
    save(path, state)
    assert same(load(path).tree, state) and same(load(path, like=state).tree, state)


LEAVES = {
    "numbers": (1, -(2**70), True, 0.1, 1e300, 5e-324, 1 + 2j, complex(float("inf"), -0.0)),
    "not finite": (float("nan"), float("inf"), -float("inf"), -0.0),
    "strings": ("", "a.b", "\u00e9\u4e2d\u6587 \n\0", b"\x00\xff"),
    "objects of torch": (torch.float16, torch.device("cpu"), torch.Size([2, 3])),
    "keys": {1: "a", "1": "b", None: "c", (2, "x"): "d"},
    "paths that are the same": {"a.b": torch.tensor(1), "a": {"b": torch.tensor(2)}, "": torch.tensor(3)},
    "containers": [deque([torch.tensor(1)], maxlen=3), torch.return_types.max((numbers(2), torch.tensor(1)))],
    "a key of random numbers": fn.random.split(fn.random.key(3)),
    "complex": (numbers(2, 3) * 1j, (numbers(3) * 1j).to(torch.complex64), torch.zeros(0, 2, dtype=torch.complex128)),
    "views": (numbers(4, 6)[::2, 1::3], numbers(3, 4).T, numbers(1).expand(5), (numbers(3) * 1j).conj()),
    "a parameter": torch.nn.Parameter(torch.ones(2)),
}


@pytest.mark.parametrize("name", LEAVES)
def test_leaves_of_every_kind_round_trip(name, path):
    save(path, LEAVES[name])
    for loaded in (load(path).tree, load(path, like=LEAVES[name]).tree):
        assert same(loaded, LEAVES[name])
        pairs = zip(fn.tree.leaves(loaded), fn.tree.leaves(LEAVES[name]), strict=True)
        assert all(repr(a) == repr(b) for a, b in pairs if not fn.tree.is_tensor(a))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2fnuz"])
def test_every_bit_round_trips(dtype, path):
    bits = torch.arange(256, dtype=torch.uint8).repeat(32).view(getattr(torch, dtype))  # among them NaN with payloads
    save(path, {"x": bits, "n": torch.arange(3), "mask": torch.tensor([True, False])})
    loaded = load(path).tree
    assert loaded["x"].dtype == bits.dtype and torch.equal(loaded["x"].view(torch.uint8), bits.view(torch.uint8))


@pytest.mark.parametrize("dtype", [torch.uint64, torch.uint32, torch.uint16, torch.int8, torch.int16, torch.int32])
def test_integers_of_every_width(dtype, path):
    x = torch.arange(100).to(dtype)
    save(path, x)
    assert torch.equal(load(path).tree.long(), x.long()) and load(path).tree.dtype == dtype


def test_metadata_and_versions_are_in_the_header(path):
    save(path, {"w": numbers(3)}, step=7, metadata={"loss": 0.5, "nested": {"list": [1, None, float("inf")]}})
    assert load(path).metadata == {"loss": 0.5, "nested": {"list": [1, None, float("inf")]}}
    manifest = json.loads(header(path)["__metadata__"]["funcnet"])
    assert manifest["torch"] == torch.__version__ and manifest["library"].startswith("funcnet")
    assert manifest["tensors"]["w"]["dtype"] == "float64" and len(manifest["tensors"]["w"]["digest"]) == 64


def header(path):
    data = path.read_bytes()
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def test_the_file_follows_the_safetensors_format(path):
    """Each tensor is where the header says, without gaps, in the order of the offsets, and row-major."""
    tensors = {"half": numbers(3).half(), "w": numbers(2, 3).T, "n": torch.tensor([7]), "on": torch.tensor(True)}
    save(path, tensors)
    data, entries = path.read_bytes(), header(path)
    entries.pop("__metadata__")
    start = 8 + int.from_bytes(data[:8], "little")
    spans = sorted(tuple(entry["data_offsets"]) for entry in entries.values())
    assert start % 8 == 0 and [a for a, _ in spans] == [0, *(b for _, b in spans[:-1])]
    assert start + spans[-1][1] == len(data)
    for name, dtype in (("half", "F16"), ("w", "F64"), ("n", "I64"), ("on", "BOOL")):
        entry, want = entries[name], tensors[name]
        first, last = entry["data_offsets"]
        found = torch.frombuffer(bytearray(data[start + first : start + last]), dtype=want.dtype)
        assert entry["dtype"] == dtype and torch.equal(found.reshape(entry["shape"]), want)


def test_safetensors_reads_the_file(path):
    safetensors = pytest.importorskip("safetensors.torch")
    tensors = {"w": numbers(2, 3), "deep": [numbers(2).bfloat16(), torch.tensor(True), torch.zeros(0, 3)]}
    save(path, tensors)
    loaded = safetensors.load_file(path)
    assert torch.equal(loaded["w"], tensors["w"]) and torch.equal(loaded["deep.0"], tensors["deep"][0])
    assert loaded["deep.1"] and loaded["deep.2"].shape == (0, 3)


@pytest.mark.slow
def test_a_new_process_loads_states_and_its_own_classes(path):
    code = """
import sys, torch, funcnet as fn
from typing import NamedTuple
class Mine(NamedTuple):
    a: object
if sys.argv[2] == "save":
    fn.checkpoint.save(sys.argv[1], Mine(fn.optim.adam(0.1).init(torch.ones(2))))
else:
    print(fn.checkpoint.load(sys.argv[1]).tree)
"""
    for action in ("save", "load"):
        done = subprocess.run([sys.executable, "-c", code, path, action], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Mine(a=(ScaleByAdamState(") and "mu=tensor([0., 0.])" in done.stdout


def test_a_local_class_comes_from_like(path):
    class Local(NamedTuple):
        x: Any

    save(path, [Local(numbers(2))])
    with pytest.raises(CheckpointError, match=r'path "0": expected the class .*Local of the module .*, but it is not'):
        load(path)
    assert same(load(path, like=[Local(numbers(2, seed=1))]).tree, [Local(numbers(2))])


def test_a_static_field_that_is_not_a_plain_value_comes_from_like(path):
    value = Affine(numbers(2), numbers(1), name=torch.tanh)
    save(path, value)
    with pytest.raises(CheckpointError, match=r"holds tanh, which is not in the file.*pass `like`"):
        load(path)
    assert load(path, like=value).tree.name is torch.tanh
    with pytest.raises(CheckpointError, match=r"holding .*relu\), as in `like`, got .*holding .*tanh\) in the file"):
        load(path, like=dataclasses.replace(value, name=torch.relu))


def test_classes_of_the_same_name_are_told_apart_in_errors(path, monkeypatch):
    save(path, Point(numbers(1), numbers(1)))
    monkeypatch.setattr(Point, "__module__", "other")
    with pytest.raises(
        CheckpointError,
        match=r"at the root: expected Point .*\(class other:Point\), as in `like`, got .*\(class tables:Point\) in",
    ):
        load(path, like=Point(numbers(1), numbers(1)))


def test_loaded_tensors_go_where_like_is_and_can_be_written_to(path):
    save(path, {"w": numbers(3)})
    loaded = load(path, like={"w": fn.ShapeDtypeStruct((3,), torch.float64)}).tree["w"]
    loaded += 1
    assert torch.equal(loaded, numbers(3) + 1) and torch.equal(load(path).tree["w"], numbers(3))
    on_meta = load(path, like={"w": numbers(3).to("meta")}).tree["w"]
    assert torch.equal(on_meta, numbers(3))


LIKE = {"layers": [{"w": numbers(3, 2), "b": None}, Affine(numbers(2), 3)], "n": 1}
DIFFERENT = {
    "another shape": ({**LIKE, "layers": [{"w": numbers(2, 3), "b": None}, LIKE["layers"][1]]}, r'"layers\.0\.w"'),
    "another dtype": ({**LIKE, "layers": [{"w": numbers(3, 2).float(), "b": None}, LIKE["layers"][1]]}, "float32"),
    "another leaf": ({**LIKE, "n": 1.0}, r'path "n": expected 1\.0, as in `like`, got 1 in the file'),
    "a tensor for a number": ({**LIKE, "n": numbers(1)}, r'path "n": expected float64 tensor.* got 1 in the file'),
    "a number for a tensor": ({**LIKE, "layers": [{"w": 1, "b": None}, LIKE["layers"][1]]}, "expected 1,.* a tensor"),
    "a tensor for None": ({**LIKE, "layers": [{"w": numbers(3, 2), "b": numbers(1)}, LIKE["layers"][1]]}, "got None"),
    "a missing key": ({"n": 1}, r"root|tree itself|expected dict with entry n"),
    "another length": ({**LIKE, "layers": LIKE["layers"][:1]}, r'"layers": expected list with entry 0.*entries 0, 1'),
    "another container": ({**LIKE, "layers": (*LIKE["layers"],)}, r'"layers": expected tuple .* got list'),
    "another class": ({**LIKE, "layers": [LIKE["layers"][0], Point(numbers(2), 3)]}, r"expected Point .* got Affine"),
    "another static field": (
        {**LIKE, "layers": [LIKE["layers"][0], dataclasses.replace(LIKE["layers"][1], name="b")]},
        "expected Affine",
    ),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_file_that_differs_from_like_is_an_error_with_the_path(name, path):
    save(path, LIKE)
    like, message = DIFFERENT[name]
    with pytest.raises(CheckpointError, match=f"^checkpoint.load: at .*{message}"):
        load(path, like=like)


def test_a_failed_save_keeps_the_old_file(path, monkeypatch):
    save(path, numbers(3))
    monkeypatch.setattr("funcnet.checkpoint.tensor_file.write", lambda file, *_: file.write(b"half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(path, numbers(4))
    assert torch.equal(load(path).tree, numbers(3)) and [*path.parent.iterdir()] == [path]


def test_files_are_on_the_disk_before_they_get_their_name(path, monkeypatch):
    import os

    events, fsync, replace = [], os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: events.append("sync") or fsync(handle))
    monkeypatch.setattr(Path, "replace", lambda a, b: events.append("name") or replace(a, b))
    save(path, numbers(3))
    assert events == ["sync", "name", "sync"]


def test_checkpoint_is_also_remat():
    f = fn.checkpoint(lambda x: x.sin().exp(), policy=fn.checkpoint_policies.dots_saveable)
    assert fn.grad(f)(torch.tensor(0.0)) == 1.0
    import pickle

    assert pickle.loads(pickle.dumps(fn.checkpoint)) is fn.checkpoint
    assert fn.checkpoint.load is load


def test_a_key_may_have_the_name_of_the_header(tmp_path):
    tree = {"__metadata__": torch.tensor([1.0, 2.0]), "w": torch.tensor(3)}
    assert fn.tree.equal(fn.checkpoint.load(fn.checkpoint.save(tmp_path / "file", tree)).tree, tree)


def test_metadata_are_plain_values(tmp_path):
    with pytest.raises(fn.checkpoint.CheckpointError, match=r"\.item\(\)"):
        fn.checkpoint.save(tmp_path / "file", {"w": torch.ones(2)}, metadata={"loss": torch.tensor(0.5)})
    assert not [*tmp_path.iterdir()]


def test_an_earlier_step_is_kept_when_it_is_saved(tmp_path):
    checkpoints = fn.checkpoint.Checkpoints(tmp_path, keep=2)
    paths = [checkpoints.save({"w": torch.tensor(step)}, step=step) for step in (100, 200, 50)]
    assert paths[-1].exists() and 50 in checkpoints.steps()
