"""The guard as a script: `python -I -S …/guard/__main__.py WORDS`, without site-packages, for a start that is quick and small."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Last, so that nothing that is installed beside Tenure can stand in for the standard library.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from tenure.guard.process import main

    main(sys.argv[1:])
