"""`python -m dialer ...`: the command line, which lives in `ringmaster/`."""

import sys

from ringmaster.cli import main

if __name__ == "__main__":
    sys.exit(main())
