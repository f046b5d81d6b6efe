"""Conversions between torch.nn modules and pure functions, and exports to torch.export, ONNX and C."""

from funcnet.bridge.export import export, export_onnx
from funcnet.bridge.export_c import export_c
from funcnet.bridge.from_module import Apply, from_module, trainable
from funcnet.bridge.sequential import from_sequential, to_sequential
from funcnet.bridge.to_module import PureModule, to_module

__all__ = [
    "Apply",
    "PureModule",
    "export",
    "export_c",
    "export_onnx",
    "from_module",
    "from_sequential",
    "to_module",
    "to_sequential",
    "trainable",
]


def __dir__() -> list[str]:
    return __all__
