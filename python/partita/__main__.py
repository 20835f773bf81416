"""The command line: ``python -m partita``, and ``partita`` where the package is installed."""

from __future__ import annotations

import signal
import sys

from . import _partita


def main() -> int:
    """Do what the command line says, as the program does: the same output, signals and exit codes."""
    # The program listens to signals itself; Python would raise KeyboardInterrupt when all is over.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _partita.run_command(["partita", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
