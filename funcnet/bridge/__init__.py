"""Between torch.nn and pure functions, both ways, and out to torch.export and ONNX."""

from funcnet.bridge.exporting import export, export_onnx
from funcnet.bridge.modules import Apply, from_module, trainable
from funcnet.bridge.pure import PureModule, to_module
from funcnet.bridge.sequential import from_sequential, to_sequential

__all__ = [
    "Apply",
    "PureModule",
    "export",
    "export_onnx",
    "from_module",
    "from_sequential",
    "to_module",
    "to_sequential",
    "trainable",
]
