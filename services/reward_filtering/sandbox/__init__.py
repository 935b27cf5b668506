"""A sandbox for generated code: a solution, and generated tests that are run on it.

    sandbox = await Sandbox.open()
    outcome = await sandbox.run_tests("def double(x): return 2 * x", "assert double(2) == 4")

No code runs in the service's own process. A run is: the *supervisor*, a fresh interpreter in a
session of its own that gets in its isolation; and the *runner*, forked from it, which confines
itself, loads the solution, and runs the tests one by one in the same interpreter. `inside/` is all
that they know of this project.

What every isolation promises (Linux on x86-64 or 64-bit Arm; elsewhere `open` raises Rejected):

- no network and no other way out: a system call filter lets no socket be made but unnamed pairs;
- one process: no fork, no exec, so nothing is left behind and the limits are those of the run;
- no signal, trace, or change of limits reaches another process, by the same filter;
- wall and processor time, address space, output, file size, open files and threads are limited;
- no capability, no way to gain one, no environment but four variables of ours, standard input
  empty; processes and private folder are gone afterwards, also when cancelled, and the processes
  end with the service.

What they differ in:

| | bubblewrap | namespaces | rlimits |
|---|---|---|---|
| needs | `bwrap`, user namespaces | user namespaces (Linux 5.12) | Landlock (Linux 5.13) |
| files it can open | standard library, system libraries | the same | the same |
| other files | are not there | are not there | seen by name, size and time |
| /proc, other processes | are not there | are not there | seen by number |
| network | a namespace without one, too | the same | the filter alone |
| all files together | a file system of that size | the same | looked at 20 times a second |
| threads | limit of the kernel | limit of the kernel | looked at 20 times a second |
| changes of modes and times | own files | own files | none |

User namespaces are often forbidden in Kubernetes (restricted pods, `RuntimeDefault` seccomp): there
it is `rlimits`, which needs nothing but a temporary folder that can be written. Without Landlock it
would open the service's files and credentials to the code: `open` raises Rejected unless told to
accept that. Run by root, `namespaces` makes the code nobody; `bubblewrap` does not, and the kernel
limits no threads of root's.

Whether the tests passed is said by the runner under a random key, only after all of them; printing,
exiting and replacing built-ins do not forge it. But solution and tests share an interpreter:
`inside/runner.py` says what a determined solution can still do. Not covered by anything here: side
channels, bugs of the kernel, load on the machine within the limits.
"""

from services.reward_filtering.sandbox.execution import Sandbox
from services.reward_filtering.sandbox.outcomes import Isolation, Limits, Outcome, Verdict

__all__ = ["Isolation", "Limits", "Outcome", "Sandbox", "Verdict"]
