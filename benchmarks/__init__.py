"""Value and gradient of common workloads: pyarr against its peers, in one run.

`python -m benchmarks --help` says what can be asked for. The modules: `workloads` (what is
computed), `holography` (the telescope's model and its whole fit), `peers` (who computes
it), `fused` (hand-written C), `worker` and `processes` (a process for each peer),
`measure` (turns and checks), `targets`, `report`.
"""

import os
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# `python -m` puts the checkout first: right where it is built, else it hides the
# installed pyarr behind one that can't be imported.
if not (ROOT / "pyarr" / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}").exists():
    sys.path[:] = [p for p in sys.path if Path(p or os.getcwd()).resolve() != ROOT]
