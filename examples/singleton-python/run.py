#!/usr/bin/env python3
"""The process: becomes what the configuration says is to run. TENURE_TERM has the number of the term."""

import os
from pathlib import Path

command = Path("command").read_text()
os.execvp("sh", ["sh", "-c", command])
