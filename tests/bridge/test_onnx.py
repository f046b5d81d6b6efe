"""Pure functions as ONNX models, run by onnxruntime."""

import pytest
import torch
from exported_functions import FUNCTIONS

import funcnet as fn

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

# torch's exporter uses a function that torch deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.:FutureWarning")


def named(values, root=""):
    """Return the tensors by their names in the model."""
    paths = (".".join(filter(None, (root, path))) for path in fn.tree.paths(values))
    return {p: leaf for p, leaf in zip(paths, fn.tree.leaves(values), strict=True) if fn.tree.is_tensor(leaf)}


@pytest.mark.few(4)
@pytest.mark.parametrize("f, args, others", FUNCTIONS.values(), ids=FUNCTIONS)
def test_onnxruntime_equals_the_function(f, args, others, tmp_path):
    path = tmp_path / "model.onnx"
    fn.bridge.export_onnx(f, *args).save(path)
    session = onnxruntime.InferenceSession(path)
    given = {name: tensor.numpy() for name, tensor in named(others).items()}
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, map(torch.tensor, session.run(None, given)), strict=True))
    expected = named(f(*others), "output")
    assert {i.name for i in session.get_inputs()} == given.keys()
    assert fn.tree.difference(found, expected, atol=1e-5) is None
