"""Every error that is not a bug of ours, in one tree, each with the exit code of a command.

A command line shows these as one line each; anything else that is raised is our bug and shows a
traceback. Most of them are also the built-in error that a caller would expect (`ValueError`,
`TypeError`, `OSError`, ...), so that `except ValueError` goes on working.
"""

from __future__ import annotations

from pathlib import Path


class ConvnextVbtError(Exception):
    """Something outside this package stands in the way; the message says what to do about it."""

    exit_code = 2


class InputError(ConvnextVbtError, ValueError):
    """An argument, an option or a table that cannot be used as it is."""


class InputTypeError(ConvnextVbtError, TypeError):
    """An argument of another type than the one that is needed."""


class ConfigError(InputError):
    """A strategy file or an option that cannot be used as it is."""


class UserCodeError(InputError):
    """The user's own file cannot be loaded, or its function raised."""


class DeviceError(InputError):
    """The device that was asked for is not there or cannot be used."""


class DataError(InputError):
    """Bars or a run directory that cannot be used; nothing finished was touched."""

    exit_code = 3


class DamagedError(DataError):
    """A file of a run directory is not what was written."""


class NetworkTooOldError(DataError):
    """A run's newest network has served for as long as it was tested; the next one is due."""


class NoPredictionError(DataError):
    """At this close no symbol has a prediction."""


class CacheError(DataError):
    """A folder of stored bars that cannot be used as it is."""


class DownloadError(ConvnextVbtError, RuntimeError):
    """The exchange refused or did not answer; what is stored stays."""

    exit_code = 3


class MissingFileError(DataError, FileNotFoundError):
    """A file that was named is not there."""


class MissingPackageError(ConvnextVbtError, ModuleNotFoundError):
    """An optional package is not installed; the message says how to get it."""


class WriteError(ConvnextVbtError, OSError):
    """A file could not be written; what was there before is as it was."""

    exit_code = 3

    @classmethod
    def of(cls, path: Path, error: OSError) -> WriteError:
        """Says which file, why, and what to do; keeps the error's number."""
        made = cls(
            f"{path} cannot be written ({error.strerror or error}); make room there or give --out "
            "another folder, then run the same command again: what is finished is kept"
        )
        made.errno = error.errno
        return made


class SplitError(ConvnextVbtError, RuntimeError):
    """Splits that failed; all others are finished and, with a directory, saved."""

    exit_code = 4


class FewTradesWarning(UserWarning):
    """A cell has too few trades to say anything."""


class AssumedTargetWarning(UserWarning):
    """Predictions that name no target are traded within the brackets of the default one."""


class LaterTrainingWarning(UserWarning):
    """Predictions learned from bars of their own test range or after it: no walk-forward."""


class StillPriceWarning(UserWarning):
    """A symbol that never moved has no barrier, so that it is not traded."""
