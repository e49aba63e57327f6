"""Submission of a sweep to a Prefect server that is configured: a flow run of the deployment that `dreamsweep deploy` has made."""

from typing import Any

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, get_current_settings

from dreamsweep.errors import ApiError, ComputeError, SweepFileError
from dreamsweep.flows.deploy import NIGHTLY
from dreamsweep.flows.local_server import check_api
from dreamsweep.flows.sweep import MAX_PARAMETER


def submit(text: str, store: str) -> str:
    """Starts a flow run that makes the sweep of a sweep file's text in a store; returns its address on Prefect's pages, or its name.

    Who makes the shards, and where, is as in the deployment. Raises ApiError where no server is configured or answers, ComputeError
    where it has no such deployment, SweepFileError where the text is too long for a parameter.
    """
    url = PREFECT_API_URL.value()
    if not url:
        raise ApiError("no Prefect API is configured; set PREFECT_API_URL=http://…:4200/api, or write the sweep into a file.")
    if len(text) > MAX_PARAMETER:
        raise SweepFileError(
            f"the sweep's text comes to {len(text):,} characters, at most {MAX_PARAMETER:,} travel as a parameter; select less."
        )
    check_api(url)
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(NIGHTLY)
        except ObjectNotFound:
            raise ComputeError(f"Prefect's API at {url} has no deployment {NIGHTLY!r}; make it with dreamsweep deploy.") from None
        request: dict[str, Any] = {**deployment.parameters.get("request", {}), "sweep": text, "store": store}
        try:
            flow_run = client.create_flow_run_from_deployment(deployment.id, parameters={"request": request})
        except PrefectHTTPStatusError as error:
            raise ComputeError(f"Prefect's API refused the sweep ({error.response.status_code}); see the log of its server.") from None
    pages = get_current_settings().ui_url
    return f"{pages}/runs/flow-run/{flow_run.id}" if pages else f"flow run {flow_run.name!r}"
