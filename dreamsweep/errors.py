"""What can go wrong, as one tree.

    DreamsweepError                 the user can fix this: one sentence, exit code 2, never retried
    ├── SweepFileError              the sweep file, or a file that it names, is not right
    ├── WeightsError                weights are missing, corrupt, or not what was asked for
    ├── StoreError                  the store cannot be reached, read or written
    ├── QueryError                  DuckDB refused the SQL, or there is nothing to ask yet
    ├── DeviceError                 the device asked for is not there
    └── StarterError                the starter recipe lacks something

An exception takes one message, so that it unpickles on its way back from a worker.
"""


class DreamsweepError(Exception):
    """Something that the user can fix; its text says what was asked, what was found and what to do."""


class SweepFileError(DreamsweepError):
    """The sweep file, or a file that it names, is not right."""


class WeightsError(DreamsweepError):
    """Weights are missing, corrupt, or not what was asked for."""


class StoreError(DreamsweepError):
    """The store cannot be reached, read or written."""


class QueryError(DreamsweepError):
    """DuckDB refused the SQL, or there is nothing to ask yet."""


class DeviceError(DreamsweepError):
    """The device asked for is not there."""


class StarterError(DreamsweepError):
    """The starter recipe lacks something."""
