# The extension module. Its functions are made from tables, with docstrings and
# signatures of their own, which a type checker cannot run: all are of type Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
