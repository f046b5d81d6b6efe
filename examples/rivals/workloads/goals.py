"""The goals of workloads, where they differ from those of their tables, and the causes of those that are missed."""

GOALS = {  # the largest ratio of funcnet's time to JAX's
    **{f"{n} layers of 32, batch 32": 0.6 for n in (17, 33)},
    "2 layers of 24, batch 64": 0.6,
    "gated recurrent, 32, 300 times": 0.6,
    "Gaussian process, 100 points": 1.2,
}

TRACING = {"transformer of 2 layers": 0.07, "15,000 operations": 1.3}  # seconds of tracing

NEXT_TO_TORCH = ["sin + cos", "|x| ** 1.7", "lgamma", "cummax of rows"]  # goals against torch, too

ROWS = "the maximum keeps NaN by a comparison and a selection per vector"
PAGES = "the copy is as fast as memcpy; each call's result is new memory, whose pages are cleared first"
START = "most of it is the start of the C compiler and of the linker"
LOOPS = "the C compiler optimises the loops for longer than XLA"

CAUSES = {
    "log10": "the error is at most 0.7 ulp, that of XLA 2.7",
    "erfc": "the error is at most 0.51 ulp, that of XLA 9",
    "max": ROWS,
    "min": ROWS,
    "max of rows": ROWS,
    "logsumexp of rows": ROWS,
    "softmax of rows": ROWS,
    "gradient of cross entropy": "each row is read by five loops, and exponentials are computed twice: the backward "
    "rule of log_softmax has its result only",
    "concatenate": PAGES,
    "1024-4096-4096, batch 64": "a third is new memory for the results of the one step, whose pages are cleared first",
    "chain of 5,000": "the text has a line per operation, and the C compiler reads and optimises each",
    "width, batch 64": "33 columns take three vectors, 32 take two",
    "nets of 16-32-4": "the last lanes are padded to a whole vector",
    "net of 2 layers of 10": START,
    **{f"net of {n} layers of 10": LOOPS for n in (9, 33, 65)},
    **{f"net of {n} layers, 64 lanes": LOOPS for n in (2, 9, 33)},
    **{f"transformer of {n} layers": LOOPS for n in (1, 2, 4)},
    "100 leaves": START,
    "100 products": START,
}
