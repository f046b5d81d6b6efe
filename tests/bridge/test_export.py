"""Pure functions as torch.export programs: parameters are inputs, gradients and loops are plain operations."""

import dataclasses
import io
import sys

import pytest
import torch
from exported_functions import FUNCTIONS, KEY, OTHERS, PARAMS, SCALE, X, Y, loss, sgd

import funcnet as fn


@pytest.mark.parametrize("f, args, others", FUNCTIONS.values(), ids=FUNCTIONS)
def test_the_program_equals_the_function_on_other_values(f, args, others):
    program = fn.bridge.export(f, *args)
    for given in (args, others):
        assert fn.tree.difference(program.module()(*given), f(*given), atol=1e-6) is None
    tensors = [leaf for leaf in fn.tree.leaves(args) if fn.tree.is_tensor(leaf)]
    inputs = [spec for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    assert len([spec for spec in inputs if type(spec.arg).__name__ == "TensorArgument"]) == len(tensors)
    assert not program.graph_signature.parameters


def test_closed_over_tensors_are_buffers():
    program = fn.bridge.export(loss, PARAMS, X, Y)
    assert list(program.state_dict) == ["closed_over_0"] and program.state_dict["closed_over_0"] == 2.0
    assert program.state_dict["closed_over_0"] is not SCALE


def test_programs_are_saved_and_loaded():
    file = io.BytesIO()
    torch.export.save(fn.bridge.export(sgd, PARAMS, X, Y), file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    assert fn.tree.difference(loaded(OTHERS, X, Y), sgd(OTHERS, X, Y), atol=1e-6) is None


@pytest.mark.slow
def test_a_torch_module_is_exported_with_its_training_step():
    module = torch.nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)
    apply, params, state = fn.from_module(module)

    def train(params, x, key):
        grads = fn.grad(lambda p: apply(p, state, x, key=key)[0].square().sum())(params)
        return fn.sgd_step(params, grads, 0.1)

    x, key = fn.random.normal(KEY, (2, 3, 4)), fn.random.key(3)
    program = fn.bridge.export(train, params, x, KEY)
    halved = fn.tree.scale(0.5, params)
    assert fn.tree.difference(program.module()(halved, x, key), train(halved, x, key), atol=1e-5) is None


@fn.tree.register_dataclass
@dataclasses.dataclass
class Affine:
    w: torch.Tensor


BAD = {
    "an argument of a foreign class": (
        lambda: fn.bridge.export(lambda p: p.w, Affine(X)),
        TypeError,
        r"export: in the arguments: expected tuples, lists, dicts and NamedTuples, got Affine with entry w\.",
    ),
    "a result of a foreign class": (
        lambda: fn.bridge.export(Affine, X),
        TypeError,
        "export: in the result: expected tuples, lists",
    ),
    "Python branches on values": (
        lambda: fn.bridge.export(lambda x: x if x.sum() > 0 else -x, X),
        fn.StagingError,
        "needs the values of a tensor",
    ),
}


@pytest.mark.parametrize("call, error, message", BAD.values(), ids=BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_without_the_extra_export_onnx_names_it(monkeypatch):
    monkeypatch.setattr(sys.modules["funcnet.bridge.export"], "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"export_onnx: needs onnx and onnxscript\. .*pip install 'funcnet\[onnx\]'"):
        fn.bridge.export_onnx(loss, PARAMS, X, Y)
