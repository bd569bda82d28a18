"""The side doors of pods that are not there: one process that answers at every address of theirs.

Run by `kwok`, within the cluster's network. Each takes parameters and says that they are live; nothing was learned and
nobody has declared a session.
"""

from __future__ import annotations

from aiohttp import web

from kato_operator.desired.names import INTERNAL_PORT
from kato_spec.records import ParametersRecord, StateRecord

told: dict[str, ParametersRecord] = {}


def pod(request: web.Request) -> str:
    """Return the address that was asked."""
    assert request.transport is not None
    address: str = request.transport.get_extra_info("sockname")[0]
    return address


async def take_parameters(request: web.Request) -> web.Response:
    """Make a record live."""
    record = told[pod(request)] = ParametersRecord.model_validate_json(await request.read())
    return web.json_response({"generation": record.generation})


async def state(request: web.Request) -> web.Response:
    """Tell the observed state."""
    record = told.get(pod(request))
    live = {"parameters_uid": record and record.uid, "parameters_generation": record and record.generation}
    found = StateRecord(processor_id=pod(request), patterns=0, active_sessions=0, **live)
    return web.json_response(text=found.model_dump_json())


def main() -> None:
    """Answer until terminated."""
    application = web.Application()
    application.add_routes([web.put("/internal/parameters", take_parameters), web.get("/internal/state", state)])
    everywhere = "0.0.0.0"  # noqa: S104 - of the cluster's own network: every pod has an address of its own
    web.run_app(application, host=everywhere, port=INTERNAL_PORT, access_log=None, print=lambda _: None)


if __name__ == "__main__":
    main()
