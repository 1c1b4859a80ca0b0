"""How a command ends: errors as lines on stderr, exit codes, no traceback but of our own bugs.

0 done, 1 our bug, 2 usage or configuration, 3 data, 4 some splits failed, 5 a gate was not met, 130
interrupted.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import NoReturn

import typer

from convnext_vbt.errors import ConvnextVbtError


@contextlib.contextmanager
def exit_codes(resume: str = "") -> Iterator[None]:
    """Errors of ours and of the system end a command with a line; all others are bugs of ours."""
    shown = warnings.showwarning
    warnings.showwarning = lambda message, *_: typer.echo(f"warning: {message}", err=True)
    handler = logging.Handler(logging.WARNING)
    # Not a StreamHandler: a progress display stands in for stderr while it lasts.
    handler.emit = lambda record: typer.echo(f"warning: {record.getMessage()}", err=True)  # type: ignore[method-assign]
    logging.getLogger("convnext_vbt").addHandler(handler)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"interrupted. {resume}".rstrip(), err=True)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        raise  # the reader has left, as `head` does: typer ends without a word
    except ConvnextVbtError as error:
        text = f"{error}. {resume}".rstrip() if isinstance(error, RuntimeError) else str(error)
        fail(text, error.exit_code)
    except MemoryError as error:
        fail(f"not enough memory ({error}); make the model, the batch or the sweep smaller", 2)
    except OSError as error:  # of the system: no permission, no disk
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 3)
    finally:
        warnings.showwarning = shown
        logging.getLogger("convnext_vbt").removeHandler(handler)


def fail(message: str, code: int) -> NoReturn:
    """Print the error and exit."""
    for line in message.splitlines():
        typer.echo(f"error: {line}", err=True)
    raise typer.Exit(code) from None
