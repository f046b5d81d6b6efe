"""The optimizers of optax.contrib that `funcnet.optim` has, by the same names."""

from typing import NoReturn

from funcnet.absent_names import absent
from funcnet.optim.algorithms import (
    COCOBState,
    DAdaptAdamWState,
    DoGState,
    DoWGState,
    HutchinsonState,
    MadgradState,
    MomoAdamState,
    MomoState,
    MuonDimensionNumbers,
    MuonState,
    ProdigyState,
    ScaleByAdemamixState,
    ScaleBySimplifiedAdEMAMixState,
    SophiaState,
    acprop,
    ademamix,
    adopt,
    cocob,
    dadapt_adamw,
    dog,
    dowg,
    dpsgd,
    hutchinson_estimator_diag_hessian,
    madgrad,
    momo,
    momo_adam,
    muon,
    prodigy,
    scale_by_acprop,
    scale_by_ademamix,
    scale_by_adopt,
    scale_by_cocob,
    scale_by_dog,
    scale_by_dowg,
    scale_by_madgrad,
    scale_by_muon,
    scale_by_simplified_ademamix,
    scale_by_sophia,
    simplified_ademamix,
    sophia,
)
from funcnet.optim.transforms import (
    DifferentiallyPrivateAggregateState,
    ReduceLROnPlateauState,
    differentially_private_aggregate,
    normalize,
    reduce_on_plateau,
)
from funcnet.optim.wrappers import (
    MechanicState,
    SAMState,
    ScheduleFreeState,
    SplitRealAndImaginaryState,
    mechanize,
    sam,
    schedule_free,
    schedule_free_adamw,
    schedule_free_eval_params,
    schedule_free_sgd,
    split_real_and_imaginary,
)

__all__ = [
    "COCOBState", "DAdaptAdamWState", "DifferentiallyPrivateAggregateState", "DoGState", "DoWGState",
    "HutchinsonState", "MadgradState", "MechanicState", "MomoAdamState", "MomoState", "MuonDimensionNumbers",
    "MuonState", "ProdigyState", "ReduceLROnPlateauState", "SAMState", "ScaleByAdemamixState",
    "ScaleBySimplifiedAdEMAMixState",
    "ScheduleFreeState", "SophiaState", "SplitRealAndImaginaryState", "acprop", "ademamix", "adopt", "cocob",
    "dadapt_adamw", "differentially_private_aggregate", "dog", "dowg", "dpsgd", "hutchinson_estimator_diag_hessian",
    "madgrad", "mechanize", "momo", "momo_adam", "muon", "normalize", "prodigy", "reduce_on_plateau", "sam",
    "scale_by_acprop", "scale_by_ademamix", "scale_by_adopt", "scale_by_cocob", "scale_by_dog", "scale_by_dowg",
    "scale_by_madgrad", "scale_by_muon", "scale_by_simplified_ademamix", "scale_by_sophia", "schedule_free",
    "schedule_free_adamw", "schedule_free_eval_params", "schedule_free_sgd", "simplified_ademamix", "sophia",
    "split_real_and_imaginary",
]  # fmt: skip


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, name)


def __dir__() -> list[str]:  # help shows no states, as in funcnet.optim
    return [name for name in __all__ if not name.endswith("State")]
