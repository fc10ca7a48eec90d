"""eurolm: from raw text to an evaluated, documented language model on EuroHPC machines.

Import the room you need (`eurolm.corpus`, `eurolm.train`, …); importing `eurolm` itself loads nothing heavy.
"""

__version__ = "0.1.0"
