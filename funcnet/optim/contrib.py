"""The optimizers of optax.contrib that `funcnet.optim` has, by the same names."""

from funcnet.optim.algorithms import (
    DAdaptAdamWState,
    MuonState,
    ProdigyState,
    ScaleByAdemamixState,
    ademamix,
    dadapt_adamw,
    muon,
    prodigy,
    scale_by_ademamix,
    scale_by_muon,
)
from funcnet.optim.transforms import ReduceLROnPlateauState, normalize, reduce_on_plateau
from funcnet.optim.wrappers import (
    SAMState,
    ScheduleFreeState,
    sam,
    schedule_free,
    schedule_free_adamw,
    schedule_free_eval_params,
    schedule_free_sgd,
)

__all__ = [
    "DAdaptAdamWState", "MuonState", "ProdigyState", "ReduceLROnPlateauState", "SAMState", "ScaleByAdemamixState",
    "ScheduleFreeState", "ademamix", "dadapt_adamw", "muon", "normalize", "prodigy", "reduce_on_plateau", "sam",
    "scale_by_ademamix", "scale_by_muon", "schedule_free", "schedule_free_adamw", "schedule_free_eval_params",
    "schedule_free_sgd",
]  # fmt: skip
