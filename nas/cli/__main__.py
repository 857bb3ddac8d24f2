"""`python -m nas.cli`, for where the script `nas` is not on the path."""

import sys

from nas.cli.main import main

sys.exit(main())
