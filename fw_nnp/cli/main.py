"""``fw-nnp``: words on a command line, nothing else.

Results go to stdout, messages to stderr. Exit codes: 0 done, 1 failed, 2 the user can mend it
(a file, an argument, a missing program), 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
import warnings

import typer

from fw_nnp.core.errors import EngineError, FwNnpError, StoreError

from . import campaign, data, datasets, demo, labels, server, store, training, use
from .common import err

app = typer.Typer(
    name="fw-nnp",
    help="Neural network potentials of DFT quality from cheap sampling, on FireWorks and MongoDB.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
for module in (server, store, campaign, data, datasets, labels, training, use, demo):
    module.register(app)


def main() -> None:
    """Run the command line; every expected error is one message and an exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("launchpad").propagate = False  # FireWorks has handlers of its own
    logging.getLogger("custodian").setLevel(logging.CRITICAL)  # its errors come as quarantine
    warnings.filterwarnings("ignore", module="pymatgen")
    try:
        app(standalone_mode=True)
    except FwNnpError as error:
        err.print(f"fw-nnp: {error}", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err.print("fw-nnp: interrupted")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if not type(error).__module__.startswith("pymongo."):
            raise
        told = _of_mongodb(error)
        err.print(f"fw-nnp: {told}", markup=False, soft_wrap=True)
        sys.exit(told.exit_code)


_UNAUTHORIZED = 13


def _of_mongodb(error: Exception) -> FwNnpError:
    """What the server said, where it is a matter of rights or of the connection."""
    from pymongo.errors import ConnectionFailure, OperationFailure

    if isinstance(error, OperationFailure) and error.code == _UNAUTHORIZED:
        return StoreError(
            "the user of the launchpad file may read this database, but not write to it",
            place="MongoDB",
            remedy="use the launchpad file of a user with the role readWrite",
        )
    if isinstance(error, ConnectionFailure):
        return EngineError(
            f"the server went away: {str(error).partition(', Topology')[0]}",
            place="MongoDB",
            remedy="see that it runs ('fw-nnp mongod start' for the private one) and repeat the "
            "command: what was written is not written twice",
        )
    raise error


if __name__ == "__main__":
    main()
