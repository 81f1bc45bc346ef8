#!/usr/bin/env python3
"""All hooks of this charm: start the process in leader-elected, stop it in leader-deposed."""

import os
import sys

sys.path.insert(0, os.path.join(os.environ["CHARM_DIR"], "lib"))
import charm
import process

hook = os.path.basename(sys.argv[0])
if hook == "leader-elected":
    process.start(charm.config_get("command"), os.environ["TENURE_TERM"])
    charm.status_set("active", "runs it")
elif hook == "leader-deposed":
    # Half of the time that is left for it to end by itself.
    process.stop(os.environ["TENURE_TERM"], float(os.environ["TENURE_SECONDS_LEFT"]) / 2)
    try:
        charm.status_set("active", "stands by")
    except charm.HookToolError:
        pass  # where the agent is dead there is nobody to tell
else:
    charm.status_set("active", "stands by")
