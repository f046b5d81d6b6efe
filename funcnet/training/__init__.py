"""Training: a step of gradient descent, shuffled minibatches, and runs that last.

`fit` runs a step function in chunks, each a jitted scan. Its parts, from the ground up:

    metrics       the metrics of steps: names, means, joined parts
    placement     leaves from elsewhere with the classes and devices of the run
    callbacks     callables for the end of a chunk
    sources       tensors and iterables, as chunks of inputs
    prefetch      iteration in a thread, one chunk ahead
    state         the state of a run after a chunk
    hooks         the callbacks of a run, and their states
    saving        the state in checkpoints
    team          the processes of a run: one, or several
    options       the options of `fit`, checked
    fitting       the loop
"""

from funcnet.training import callbacks
from funcnet.training.callbacks import STOP
from funcnet.training.descent import sgd_step
from funcnet.training.fitting import fit
from funcnet.training.minibatches import batches

__all__ = ["STOP", "batches", "callbacks", "fit", "sgd_step"]
