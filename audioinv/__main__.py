"""python -m audioinv: the command line."""

import sys

from audioinv.cli import main

sys.exit(main())
