"""`gato train` as a process that a test can kill, perhaps on a full disk or without root's right to write everywhere.

python train_process.py ARGUMENTS, a JSON object of the arguments of `gato.cli.train.train`, and beside them
    file_limit_bytes: size beyond which no file can grow
    respect_permissions: even root may not write where the mode of a file or folder forbids it
"""

import ctypes
import json
import os
import resource
import sys
from pathlib import Path

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1  # <linux/prctl.h>, <linux/capability.h>

if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    if arguments.pop("respect_permissions", False):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
        os.execv(sys.executable, [sys.executable, __file__, json.dumps(arguments)])  # from here on the right is gone
    if limit := arguments.pop("file_limit_bytes", None):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    from gato.cli.train import train

    train(**{**arguments, **{name: Path(arguments[name]) for name in ("run", "tokenizer") if name in arguments}})
