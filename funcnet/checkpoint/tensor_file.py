"""Files of named tensors in the safetensors format: a header in JSON, then the bytes. Nothing in them is executed.

Source:
    https://github.com/huggingface/safetensors, format: 8 bytes with the length of the header, little-endian; the header
    with dtype, shape and place of each tensor, and a dict of strings at "__metadata__"; the tensors, without gaps.
"""

import ctypes
import hashlib
import json
import os
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from funcnet.checkpoint.errors import CheckpointError, DamagedCheckpointError

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_LONGEST_HEADER = 100_000_000  # the limit of the format


def physical(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor's numbers on the CPU, row-major; complex numbers as pairs, other unknown dtypes as bytes."""
    plain = tensor.detach()
    if plain.layout is not torch.strided or plain.is_quantized or plain.is_meta or type(plain) is not Tensor:
        raise CheckpointError(
            f'checkpoint.save: at path "{name}": expected a dense tensor with values, got a {type(plain).__name__} of'
            f" layout {plain.layout} on {plain.device}. Convert it, for instance by to_dense(), before saving."
        )
    plain = plain.resolve_conj().resolve_neg().cpu().contiguous()
    if plain.is_complex():
        return torch.view_as_real(plain)
    return plain if plain.dtype in DTYPES else plain.reshape(-1).view(torch.uint8)


def content(tensor: Tensor) -> memoryview:
    """View the bytes of a row-major tensor on the CPU, which must outlive the view."""
    size = tensor.numel() * tensor.element_size()
    return memoryview((ctypes.c_char * size).from_address(tensor.data_ptr())) if size else memoryview(b"")


def digest(data: Any) -> str:
    """Return the digest of bytes."""
    return hashlib.sha256(data).hexdigest()


def write(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write physical tensors and strings to a file."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    names, start = sorted(tensors, key=lambda name: -tensors[name].element_size()), 0  # so that all are aligned
    for name in names:
        end = start + content(tensors[name]).nbytes
        kind, shape = DTYPES[tensors[name].dtype], list(tensors[name].shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for name in names:
        file.write(content(tensors[name]))


class Reader:
    """An open file of tensors."""

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self.path, self.file = path, file
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _LONGEST_HEADER):
            raise self.damaged("it has no complete header")
        try:
            self.header: dict[str, Any] = json.loads(file.read(length))
            self.metadata: dict[str, str] = self.header.pop("__metadata__")
            self.end = max([0, *(entry["data_offsets"][1] for entry in self.header.values())])
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
            raise self.damaged("its header is not readable") from error
        self.start = 8 + length
        if size != self.start + self.end:
            raise self.damaged(f"it has {size:,} bytes instead of {self.start + self.end:,}")

    def read(self, name: str, digest_of_it: str) -> bytearray:
        """Read the bytes of a tensor and compare their digest."""
        try:
            first, last = self.header[name]["data_offsets"]
            if not 0 <= first <= last <= self.end:
                raise ValueError
            data = bytearray(last - first)
        except (ValueError, TypeError, KeyError) as error:
            raise self.damaged(f"the place of {name!r} is not readable") from error
        self.file.seek(self.start + first)
        if self.file.readinto(data) != len(data) or digest(data) != digest_of_it:
            raise self.damaged(f"the bytes of {name!r} have changed")
        return data

    def damaged(self, problem: str) -> DamagedCheckpointError:
        """Return the error for a damaged file."""
        return DamagedCheckpointError(
            f"checkpoint.load: {self.path} is not an intact checkpoint: {problem}. Use an earlier one, or a copy."
        )


def as_tensor(data: bytearray, dtype: torch.dtype, shape: list[int]) -> Tensor:
    """Return bytes as a tensor."""
    if not data:
        return torch.zeros(shape, dtype=dtype)
    return torch.frombuffer(data, dtype=torch.uint8).view(dtype).reshape(shape)
