"""torch's private API, one named function per use; all were checked on torch 2.13.0.

When torch changes, this is the folder to adapt. No other file of this package uses a private name of torch.
"""

from funcnet._torch import dynamo
from funcnet._torch.custom_functions import functions_by, is_backward_hook, takes_context
from funcnet._torch.export import as_if_exporting, export_leaves
from funcnet._torch.modes import (
    DispatchMode,
    default_device,
    dispatch_modes,
    function_modes,
    in_function_modes,
    is_dispatching,
    is_in_dispatch_mode,
    is_in_dual_level,
    on_values,
    without_torch_function,
)
from funcnet._torch.operations import (
    Operation,
    Overloads,
    assert_async,
    core_decompositions,
    decomposition,
    index_fill,
    is_all_true,
    is_composite,
    run_on_metadata,
)
from funcnet._torch.tensors import hooks, make_wrapper, storage_number, untouched_by_torch_function, version, viewed
from funcnet._torch.transformations import (
    NO_LEVEL,
    add_batch,
    batches,
    current_level,
    derivative_levels,
    is_batched,
    is_batching,
    is_transforming,
    is_wrapped,
    level,
    levels,
    new_batch,
    remove_batch,
    unwrap,
    unwrapped,
)

__all__ = [
    "NO_LEVEL",
    "DispatchMode",
    "Operation",
    "Overloads",
    "add_batch",
    "as_if_exporting",
    "assert_async",
    "batches",
    "core_decompositions",
    "current_level",
    "decomposition",
    "default_device",
    "derivative_levels",
    "dispatch_modes",
    "export_leaves",
    "function_modes",
    "functions_by",
    "hooks",
    "in_function_modes",
    "index_fill",
    "is_all_true",
    "is_backward_hook",
    "is_batched",
    "is_batching",
    "is_composite",
    "is_dispatching",
    "is_in_dispatch_mode",
    "is_in_dual_level",
    "is_transforming",
    "is_wrapped",
    "level",
    "levels",
    "make_wrapper",
    "new_batch",
    "on_values",
    "remove_batch",
    "run_on_metadata",
    "storage_number",
    "takes_context",
    "untouched_by_torch_function",
    "unwrap",
    "unwrapped",
    "version",
    "viewed",
    "without_torch_function",
]

dynamo.delay()
