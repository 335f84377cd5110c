"""golden_halves: beside a dict."""

import os
import random
import sys
import time
from typing import Callable

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import golden_halves  # noqa: E402
import golden_halves_keys as keys  # noqa: E402


def measure(what: str, ask: Callable[..., object]) -> None:
    """Asks for every key until a quarter of a second is over; the best of all rounds."""
    best = float("inf")
    begin = time.perf_counter()
    while time.perf_counter() - begin < 0.25:
        start = time.perf_counter()
        for key in asked:
            ask(key)
        best = min(best, time.perf_counter() - start)
    print(f"{what:<28} {best / len(asked) * 1e9:8.1f} ns")


asked = keys.KEYS[: keys.MEMBERS]
random.Random(1).shuffle(asked)
print("golden_halves:", len(asked), "keys")
measure("golden_halves", golden_halves.index)
measure("dict", {key: at for at, key in enumerate(asked)}.__getitem__)
