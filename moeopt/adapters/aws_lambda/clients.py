"""The doors to AWS, through boto3: one session, its clients, and what they raise made plain.

Where a client's calls go is boto3's own affair: region and credentials come from its usual chain,
and ``AWS_ENDPOINT_URL`` leads to a local stand.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moeopt.core.errors import AdapterError

#: Calls that one process has running at once; each keeps a connection.
CONNECTIONS = 128

#: Seconds until a connection stands, and until an answer of the control plane or of storage comes.
_CONNECT_S, _READ_S = 10.0, 60.0

#: A function's answer may take as long as the longest call there is, and a little.
_CALL_S = 930.0


@dataclass(frozen=True)
class Clients:
    """Clients of one account and region, which threads may share.

    Attributes
    ----------
    functions
        Lambda's control plane.
    calls
        Lambda's calls: no retries of boto3's own, each attempt is ours to count.
    storage
        S3.
    roles
        IAM.
    account, region
        Whose and where.
    """

    functions: Any
    calls: Any
    storage: Any
    roles: Any
    account: str
    region: str


def require_boto3() -> None:
    """Raise `AdapterError` unless boto3 is there."""
    try:
        import boto3  # noqa: F401
    except ImportError:
        raise AdapterError("the lambda adapter needs boto3: pip install 'moeopt[aws]'") from None


def connect(session: Any = None, region: str | None = None, endpoint: str | None = None) -> Clients:
    """Return clients, and ask who we are.

    Parameters
    ----------
    session
        A ``boto3.Session``; one made of the usual chain of credentials if left out.
    region
        Where; the session's own if left out.
    endpoint
        Address of a stand, if not AWS and not ``AWS_ENDPOINT_URL``.

    Raises
    ------
    AdapterError
        If boto3 is missing, its settings are none, there is no region, or the credentials are
        not accepted.
    """
    require_boto3()
    import boto3
    from botocore.config import Config

    if session is None:
        with outside("AWS"):
            session = boto3.Session()
    # Boto3 itself reads AWS_DEFAULT_REGION only.
    region = region or session.region_name or os.environ.get("AWS_REGION")
    if region is None:
        raise AdapterError("no AWS region is set: give --region, or set AWS_REGION")

    def client(service: str, read_s: float, attempts: int, **more: Any) -> Any:
        config = Config(
            connect_timeout=_CONNECT_S,
            read_timeout=read_s,
            max_pool_connections=CONNECTIONS,
            retries={"total_max_attempts": attempts, "mode": "standard"},
            **more,
        )
        try:
            return session.client(service, region_name=region, endpoint_url=endpoint, config=config)
        except ValueError as error:  # of an address that is none
            raise AdapterError(f"AWS: {error}") from error

    with outside("AWS"):
        account = client("sts", _READ_S, 3).get_caller_identity()["Account"]
        path_style = {"s3": {"addressing_style": "path"}} if _elsewhere(endpoint) else {}
        return Clients(
            functions=client("lambda", _READ_S, 5),
            calls=client("lambda", _CALL_S, 1),
            storage=client("s3", _READ_S, 3, **path_style),
            roles=client("iam", _READ_S, 5),
            account=account,
            region=region,
        )


def _elsewhere(endpoint: str | None) -> bool:
    """Tell whether calls go to an address of a stand, which has no host name for each bucket."""
    named = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
    return endpoint is not None or any(os.environ.get(name) for name in named)


@contextlib.contextmanager
def outside(what: str) -> Iterator[None]:
    """Turn what boto3 raises inside into an `AdapterError` that says what was being done.

    Parameters
    ----------
    what
        Whom we asked, or what for: begins the sentence.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        text = f"{said.get('Code', 'error')}: {said.get('Message', '')}".strip(": ")
        raise AdapterError(f"{what}: {text}") from error
    except BotoCoreError as error:
        raise AdapterError(f"{what}: {' '.join(str(error).split())}") from error


def code_of(error: Any) -> str:
    """Return the code of a boto3 ``ClientError``, such as ``"ResourceNotFoundException"``."""
    return str(error.response.get("Error", {}).get("Code", ""))
