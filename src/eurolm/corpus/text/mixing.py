"""One way to make every bit of a 64-bit number depend on all its bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014, doi 10.1145/2714064.2660195) on each element, modulo 2^64."""
    mixed = values ^ (values >> np.uint64(30))
    mixed = mixed * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
