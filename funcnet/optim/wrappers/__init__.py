"""Transformations of whole optimizers: accumulate steps, skip some, average parameters, schedule hyper-parameters."""

from funcnet.optim.wrappers.conditional import (
    ConditionallyMaskState,
    ConditionallyTransformState,
    conditionally_mask,
    conditionally_transform,
)
from funcnet.optim.wrappers.finite import ApplyIfFiniteState, ZeroNansState, apply_if_finite, zero_nans
from funcnet.optim.wrappers.hyperparams import InjectHyperparamsState, get_hyperparams, inject_hyperparams
from funcnet.optim.wrappers.lookahead import LookaheadParams, LookaheadState, lookahead
from funcnet.optim.wrappers.mechanic import MechanicState, mechanize
from funcnet.optim.wrappers.multi_steps import MultiSteps, MultiStepsState, skip_large_updates, skip_not_finite
from funcnet.optim.wrappers.sam import SAMState, sam
from funcnet.optim.wrappers.schedule_free import (
    ScheduleFreeState,
    schedule_free,
    schedule_free_adamw,
    schedule_free_eval_params,
    schedule_free_sgd,
)
from funcnet.optim.wrappers.splitting import SplitRealAndImaginaryState, split_real_and_imaginary

__all__ = [
    "ApplyIfFiniteState",
    "ConditionallyMaskState",
    "ConditionallyTransformState",
    "InjectHyperparamsState",
    "LookaheadParams",
    "LookaheadState",
    "MechanicState",
    "MultiSteps",
    "MultiStepsState",
    "SAMState",
    "ScheduleFreeState",
    "SplitRealAndImaginaryState",
    "ZeroNansState",
    "apply_if_finite",
    "conditionally_mask",
    "conditionally_transform",
    "get_hyperparams",
    "inject_hyperparams",
    "lookahead",
    "mechanize",
    "sam",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_eval_params",
    "schedule_free_sgd",
    "skip_large_updates",
    "skip_not_finite",
    "split_real_and_imaginary",
    "zero_nans",
]
