"""`kato serve`: the service of one processor in the foreground; what `kato start` and the container image run.

Spec: cli.md and service.md, "Limits and figures". A test keeps these flags equal to the service's settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from kato_cli.terminal import notice

Level = Literal["debug", "info", "warning", "error"]
LogForm = Literal["json", "console"]

InternalToken = Annotated[str | None, typer.Option(help="Bearer token of the side door; better by the environment.")]
MongodbUri = Annotated[
    str | None, typer.Option(help="Connection string of the MongoDB of the memory; better by the environment.")
]
MongodbDatabase = Annotated[
    str | None, typer.Option(help="Its database. Default: kato_ and a hash of namespace and ID.")
]
PortFd = Annotated[
    int | None, typer.Option(help="A socket that listens already, by its file descriptor; in place of --port.")
]
InternalPortFd = Annotated[
    int | None, typer.Option(help="The side door's socket, by its file descriptor; needs --internal-port too.")
]
Tokens = Annotated[
    str | None, typer.Option(help="Bearer tokens of the API, comma-separated; better by the environment.")
]
RedisUrl = Annotated[str | None, typer.Option(help="URL of the Redis of the sessions; better by the environment.")]
StoreTimeout = Annotated[
    float | None, typer.Option(help="Seconds in which an external store gives a sign of life. Default: 1.0.")
]
ParametersFile = Annotated[Path | None, typer.Option(help="A parameters record as JSON, taken up at the start.")]
ReplicaName = Annotated[
    str | None, typer.Option(help="Name among the replicas that share the stores. Default: the host's name.")
]


def serve(
    processor_id: Annotated[str | None, typer.Option(help="The processor's ID. Default: kato.")] = None,
    processor_name: Annotated[str | None, typer.Option(help="Its human-readable name. Default: KatoProcessor.")] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Namespace in the names of keys and databases. Default: local.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address of the API. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the API; 0 takes any free one. Default: 8000.")] = None,
    port_fd: PortFd = None,
    internal_host: Annotated[
        str | None, typer.Option(help="Address of the operator's side door. Default: 127.0.0.1.")
    ] = None,
    internal_port: Annotated[int | None, typer.Option(help="Port of the side door; left out: there is none.")] = None,
    internal_port_fd: InternalPortFd = None,
    internal_token: InternalToken = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Directory of the databases; left out: nothing is kept.")
    ] = None,
    mongodb_uri: MongodbUri = None,
    mongodb_database: MongodbDatabase = None,
    redis_url: RedisUrl = None,
    replica_name: ReplicaName = None,
    store_timeout_seconds: StoreTimeout = None,
    parameters_file: ParametersFile = None,
    tokens: Tokens = None,
    max_body_bytes: Annotated[int | None, typer.Option(help="Largest request body, in bytes. Default: 10 MiB.")] = None,
    max_concurrent_requests: Annotated[
        int | None, typer.Option(help="Most requests answered at once; 0 means any number. Default: 1000.")
    ] = None,
    receive_seconds: Annotated[
        float | None, typer.Option(help="Seconds for a request's head, and for its body, to come. Default: 60.0.")
    ] = None,
    log_level: Annotated[Level | None, typer.Option(help="The least level logged. Default: info.")] = None,
    log_format: Annotated[LogForm | None, typer.Option(help="JSON lines, or lines for people. Default: json.")] = None,
    grace_seconds: Annotated[
        int | None, typer.Option(help="Seconds for requests in flight at the end. Default: 25.")
    ] = None,
) -> None:
    """Run the service of one processor in the foreground.

    It ends at SIGTERM or Ctrl-C. Each option may also be given in the environment, such as KATO_PORT for --port; the
    option wins.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    # Only this command needs the service; its web framework must not slow down the others.
    try:
        from kato_service.imports import quick  # noqa: PLC0415 - see above

        with quick():
            from kato_service.app import serve as run_service  # noqa: PLC0415 - see above
            from kato_service.settings import Settings, problems  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        notice(f"the service needs {error.name}, which is not installed: pip install 'kato-operator[service]'")
        raise typer.Exit(1) from error
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise typer.BadParameter("; ".join(problems(error))) from error
    run_service(settings)
