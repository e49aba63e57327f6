"""Runs by Prefect's flow: where a server is configured, and for `--compute`."""

from typing import TYPE_CHECKING

from dreamsweep.cli.terminal import state_folder
from dreamsweep.errors import ComputeError
from dreamsweep.flows.api_setting import api_setting

if TYPE_CHECKING:
    from dreamsweep.cli.display import Display
    from dreamsweep.flows.cluster import Cluster
    from dreamsweep.flows.fanout import Compute
    from dreamsweep.results.publishing import Choice
    from dreamsweep.spec import Sweep


def api_is_configured() -> bool:
    """Returns whether Prefect's settings name a server."""
    return api_setting() is not None


def run_flow(sweep: "Sweep", store: str, device: str, compute: str | None, choice: "Choice", display: "Display") -> None:
    """Runs the flow against the configured API, or, for a Dask or Ray cluster, one that lives as long as the command.

    Raises what `dreamsweep.flows.sweep.sweep` raises.
    """
    if compute and "/" in compute and not api_is_configured():  # before Prefect is imported, which takes seconds
        raise ComputeError(
            f"compute {compute!r} is known to a Prefect server alone, and none is configured; set PREFECT_API_URL to its address."
        )
    import logging

    logging.raiseExceptions = False  # a log line that cannot be sent is no news for the terminal
    from dreamsweep.flows.local_server import prefect_api, prefer_quiet

    prefer_quiet()
    maker: Compute | Cluster | None = None
    if compute:  # before any API is started, which would know no deployment
        from dreamsweep.flows.sweep import compute_of

        maker = compute_of(compute)
    with prefect_api(state_folder() / "prefect-api.log") as wait_for_api:
        from dreamsweep.flows.sweep import SweepRequest
        from dreamsweep.flows.sweep import sweep as sweep_flow
        from dreamsweep.tasks.progress import shown_by

        wait_for_api()
        with shown_by(display.take):
            sweep_flow(SweepRequest(sweep=sweep, store=store, device=device, compute=maker, choice=choice))
