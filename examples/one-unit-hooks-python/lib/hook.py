#!/usr/bin/env python3
"""All hooks of this charm: start the process in leader-elected, stop it in leader-settings-changed."""

import os
import sys

sys.path.insert(0, os.path.join(os.environ["CHARM_DIR"], "lib"))
import charm
import process

STOP_TIMEOUT_S = 5

if os.path.basename(sys.argv[0]) == "leader-elected":
    process.start(charm.config_get("command"))
    charm.status_set("active", "runs it")
else:
    process.stop(STOP_TIMEOUT_S)
    charm.status_set("active", "stands by")
