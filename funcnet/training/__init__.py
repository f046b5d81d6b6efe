"""Training: a step of gradient descent, shuffled minibatches, and runs that last.

`fit` runs a step function in chunks, each a jitted scan. Its parts, from the ground up: `sources` turns tensors and
iterables into chunks, `prefetch` loads them in a thread, `callbacks` holds callables for the end of a chunk, `run`
keeps what a run has reached and saves it, and `fitting` is the loop.
"""

from funcnet.training import callbacks
from funcnet.training.callbacks import STOP
from funcnet.training.descent import sgd_step
from funcnet.training.fitting import fit
from funcnet.training.minibatches import batches

__all__ = ["STOP", "batches", "callbacks", "fit", "sgd_step"]
