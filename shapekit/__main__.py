"""``python -m shapekit``: the same as the command."""

import sys

from shapekit.cli import main

sys.exit(main())
