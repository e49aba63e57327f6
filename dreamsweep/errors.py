"""Errors raised on purpose, as one tree of two branches.

    DreamsweepError                     root: the text is one sentence for the user
    ├── UserError                       the user can fix this: exit code 2, never retried
    │   ├── SweepFileError              invalid sweep file, or a file that it names is invalid or missing
    │   ├── WeightsError                missing, corrupt or unexpected weights
    │   ├── StoreError                  the store has no such object, or refuses access; its disk is full
    │   │   └── DamagedError            an object of the store is not what was written
    │   ├── QueryError                  DuckDB refused the SQL, or nothing is published yet
    │   ├── DeviceError                 no such device on this machine
    │   ├── PluginError                 an engine or a judge of another package cannot be used
    │   ├── StarterError                the recipe of the starter weights lacks something
    │   ├── ApiError                    no Prefect API at the address, or its own server cannot start
    │   ├── ComputeError                no such deployment, or its flow runs cannot do the work
    │   ├── ClusterError                no such Dask or Ray cluster
    │   └── DeployError                 invalid deployment settings
    └── TransientError                  may pass by itself: retried; exit code 1 when it does not pass
        ├── StoreUnavailableError       the store does not answer, is overloaded, or broke off
        ├── DownloadError               a download failed on its way
        └── ApiUnavailableError         Prefect's API does not answer any more

Every error takes one message and no other argument, so that it unpickles on its way back from a worker.
"""


class DreamsweepError(Exception):
    """Error raised on purpose; its text says what was asked, what was found, and what to do."""


class UserError(DreamsweepError):
    """Mistake that the user can fix, such as an invalid option; a retry would fail in the same way."""


class TransientError(DreamsweepError):
    """Failure that may pass by itself, such as a timeout; worth a retry."""


class SweepFileError(UserError):
    """Sweep file that is invalid, or names a file that is invalid or missing."""


class WeightsError(UserError):
    """Weights that are missing, corrupt, or not the expected ones."""


class StoreError(UserError):
    """Store without the object, the bucket, the permission or the space that was asked for."""


class DamagedError(StoreError):
    """Object of a store that is cut, has flipped bits, or is otherwise not what was written."""


class QueryError(UserError):
    """SQL that DuckDB refused, or a store with nothing published yet."""


class DeviceError(UserError):
    """Device that this machine does not have."""


class PluginError(UserError):
    """Engine or judge of another package that is missing, or cannot be used."""


class StarterError(UserError):
    """Recipe of the starter weights that lacks a file or a setting."""


class ApiError(UserError):
    """Prefect API that cannot be used: a wrong address, or a server of our own that cannot start."""


class ComputeError(UserError):
    """Deployment that does not exist, or whose flow runs cannot do the work."""


class ClusterError(UserError):
    """Dask or Ray cluster that cannot be used from here."""


class DeployError(UserError):
    """Deployment settings that are invalid, or refused by the server."""


class StoreUnavailableError(TransientError):
    """Store that does not answer, is overloaded, or broke off in the middle."""


class DownloadError(TransientError):
    """Download that failed on its way: a timeout, a lost connection, an overloaded server."""


class ApiUnavailableError(TransientError):
    """Prefect API that answered before and does not answer now."""
