"""The parent's side of a peer: a process, stopped while others are timed.

OpenMP's threads either spin or sleep between parallel loops (OMP_WAIT_POLICY); peers
that use OpenMP run once with each. Threads that spin would disturb whoever runs next, so a
process that isn't asked gets SIGSTOP.
"""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from . import ROOT

OPENMP = ("torch", "torch.compile", "torch joint", "C")
EXECUTOR = {"interpreter": "interpreter"}
STARTS_FAST = ("pyarr", "interpreter", "numpy", "autograd", "C")


class Process:
    """A peer in one setting of its threads."""

    def __init__(self, peer, policy, scratch, data, patience=300):
        self.peer, self.policy, self.patience = peer, policy, patience
        self.command = [sys.executable, "-m", "benchmarks.worker", peer]
        self.command += [str(scratch), str(data)]
        self.log = Path(scratch) / f"{peer}-{policy}.log"
        self.environment = os.environ | {
            "TORCHINDUCTOR_CACHE_DIR": str(Path(scratch) / "inductor"),
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
        }
        if policy:
            self.environment["OMP_WAIT_POLICY"] = policy
        if peer in EXECUTOR:
            self.environment["PYARR_EXECUTOR"] = EXECUTOR[peer]
        self.child = None

    def start(self):
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment,
                text=True,
            )

    def ask(self, do, **request):
        """The answer to a request: a dict, with "error" where it failed."""
        if self.child is None:
            self.start()
        try:
            self.child.send_signal(signal.SIGCONT)
            self.child.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.child.stdin.flush()
            ready, _, _ = select.select([self.child.stdout], [], [], self.patience)
            line = self.child.stdout.readline() if ready else ""
        except BrokenPipeError:
            line = ""
        if not line:
            said = self.log.read_text(errors="replace").strip().splitlines()
            self.close()
            return {"error": f"no answer; {said[-1] if said else 'no message'}"[:300]}
        self.child.send_signal(signal.SIGSTOP)
        return json.loads(line)

    def forget(self):
        """Ready for another workload: a new process where starting one is quick."""
        if self.peer in STARTS_FAST:
            self.close()
        elif self.child:
            self.ask("forget")

    def close(self):
        """End the process: it ends with its input, or is made to."""
        if self.child is None:
            return
        self.child.send_signal(signal.SIGCONT)
        try:
            self.child.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.communicate()
        self.child = None


def processes(peers, scratch, data):
    """One process for each peer and setting of its threads."""
    return [
        Process(peer, policy, scratch, data)
        for peer in peers
        for policy in (("active", "passive") if peer in OPENMP else ("",))
    ]
