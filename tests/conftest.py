"""Every program that the tests compile is verified between the passes."""

import os

os.environ["FUNCNET_VERIFY"] = "1"  # read when the compiler is imported
