"""torch's private API, one named function per use; all were checked on torch 2.13.0.

When torch changes, this is the folder to adapt. No other file of this package uses a private name of torch.
"""

from funcnet._torch import dynamo
from funcnet._torch.custom_functions import functions_by, is_function_call, takes_context
from funcnet._torch.export import as_if_exporting, export_leaves
from funcnet._torch.gradients import gradients
from funcnet._torch.guards import matcher
from funcnet._torch.higher_order import control_flow_by_rules, control_flow_rules, flattened
from funcnet._torch.modes import (
    DispatchMode,
    default_device,
    dispatch_modes,
    function_modes,
    has_function_modes,
    in_function_modes,
    is_dispatching,
    is_in_dual_level,
    on_values,
    without_dispatch,
    without_torch_function,
)
from funcnet._torch.operations import (
    Operation,
    Overloads,
    assert_async,
    core_decompositions,
    decomposition,
    has_python_rule,
    index_fill,
    is_all_true,
    is_composite,
    multi_margin_loss,
    multilabel_margin_loss,
    run_on_metadata,
)
from funcnet._torch.processes import default_store, with_prefix
from funcnet._torch.symbols import without_symbols
from funcnet._torch.tensors import hooks, make_wrapper, storage_number, untouched_by_torch_function, version, viewed
from funcnet._torch.transformations import (
    NO_LEVEL,
    add_batch,
    batches,
    current_level,
    derivative_level,
    derivative_levels,
    example_mask,
    has_derivative,
    is_batched,
    is_batching,
    is_transforming,
    is_wrapped,
    level,
    levels,
    new_batch,
    remove_batch,
    rule_of_forward_mode,
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
    "control_flow_by_rules",
    "control_flow_rules",
    "core_decompositions",
    "current_level",
    "decomposition",
    "default_device",
    "default_store",
    "derivative_level",
    "derivative_levels",
    "dispatch_modes",
    "example_mask",
    "export_leaves",
    "flattened",
    "function_modes",
    "functions_by",
    "gradients",
    "has_derivative",
    "has_function_modes",
    "has_python_rule",
    "hooks",
    "in_function_modes",
    "index_fill",
    "is_all_true",
    "is_batched",
    "is_batching",
    "is_composite",
    "is_dispatching",
    "is_function_call",
    "is_in_dual_level",
    "is_transforming",
    "is_wrapped",
    "level",
    "levels",
    "make_wrapper",
    "matcher",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "new_batch",
    "on_values",
    "remove_batch",
    "rule_of_forward_mode",
    "run_on_metadata",
    "storage_number",
    "takes_context",
    "untouched_by_torch_function",
    "unwrap",
    "unwrapped",
    "version",
    "viewed",
    "with_prefix",
    "without_dispatch",
    "without_symbols",
    "without_torch_function",
]

dynamo.delay_import()
