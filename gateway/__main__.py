"""`python -m gateway VERB ...`."""

import sys

from gateway.cli import main

sys.exit(main())
