"""What Lambda checks of settings before it takes them, and moto does not."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from moeopt.adapters.aws_lambda.stand import errors
from moeopt.adapters.aws_lambda.stand.functions import Functions

#: Of memory in MB, of seconds, of characters of a name.
MEMORY_MB, TIMEOUT_S, NAME_CHARACTERS = (128, 10_240), (1, 900), 64

#: Bytes of all variables, of a package as it is sent, of one unpacked; layers of a function.
ENVIRONMENT_BYTES, SENT_BYTES, UNPACKED_BYTES, LAYERS = 4096, 52_428_800, 262_144_000, 5

#: Calls that an account keeps for functions without calls of their own.
UNRESERVED = 100

_NAME = re.compile(r"[a-zA-Z0-9-_]+")

#: Variables that are Lambda's own.
_RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "TZ",
    }
)


def check_name(name: str) -> None:
    """Refuse a name that no function can have."""
    if len(name) > NAME_CHARACTERS:
        longest = f"have length less than or equal to {NAME_CHARACTERS}"
        raise errors.outside_of("functionName", name, longest)
    if not _NAME.fullmatch(name):
        pattern = "satisfy regular expression pattern: [a-zA-Z0-9-_]+"
        raise errors.outside_of("functionName", name, pattern)


def check_configuration(settings: Mapping[str, Any]) -> None:
    """Refuse settings that a function cannot have; those left out are not looked at.

    Parameters
    ----------
    settings
        As ``CreateFunction`` and ``UpdateFunctionConfiguration`` have them.
    """
    _within("memorySize", settings.get("MemorySize"), MEMORY_MB)
    _within("timeout", settings.get("Timeout"), TIMEOUT_S)
    _check_environment((settings.get("Environment") or {}).get("Variables") or {})
    if len(settings.get("Layers") or ()) > LAYERS:
        raise errors.invalid(f"Cannot reference more than {LAYERS} layers.")


def _within(name: str, value: Any, limits: tuple[int, int]) -> None:
    least, most = limits
    if value is not None and value < least:
        raise errors.outside_of(name, value, f"have value greater than or equal to {least}")
    if value is not None and value > most:
        raise errors.outside_of(name, value, f"have value less than or equal to {most}")


def _check_environment(variables: Mapping[str, str]) -> None:
    unable = (
        "Lambda was unable to configure your environment variables because the environment "
        "variables you have provided"
    )
    if used := sorted(_RESERVED & set(variables)):
        keys = ", ".join(used)
        raise errors.invalid(
            f"{unable} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {keys}"
        )
    measured = json.dumps(dict(variables), separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > ENVIRONMENT_BYTES:
        raise errors.invalid(f"{unable} exceeded the 4KB limit. String measured: {measured}")


def checked_code(code: Mapping[str, Any], functions: Functions) -> bytes | None:
    """Return the package that settings name, ``None`` if they name an image.

    Refused is code that is not there, is no package, or is too large.

    Parameters
    ----------
    code
        ``Code`` of ``CreateFunction``, or what ``UpdateFunctionCode`` has.
    functions
        Which know the images that there are.
    """
    if "ImageUri" in code:
        if not functions.has_image(code["ImageUri"]):
            raise errors.invalid(
                f"Source image {code['ImageUri']} does not exist. Provide a valid source image."
            )
        return None
    if "ZipFile" in code:
        data = _decoded(code["ZipFile"])
        if len(data) > SENT_BYTES:
            said = "Request must be smaller than 69905067 bytes for the CreateFunction operation"
            raise errors.Refusal(413, "RequestEntityTooLargeException", said)
    elif "S3Bucket" in code and "S3Key" in code:
        data = functions.stored(code["S3Bucket"], code["S3Key"])
    else:
        raise errors.invalid("Please provide a source for function code.")
    if unpacked_bytes(data) >= UNPACKED_BYTES:
        raise errors.invalid(f"Unzipped size must be smaller than {UNPACKED_BYTES} bytes")
    return data


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def unpacked_bytes(data: bytes) -> int:
    """Return what a package takes unpacked; refuse what is none."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile:
        raise errors.not_zipped() from None


def check_reserved(wanted: Any, others: int, account: int) -> None:
    """Refuse to reserve calls of which the account has too few left.

    Parameters
    ----------
    wanted
        For the function.
    others
        Reserved for other functions.
    account
        All there are.
    """
    if account - others - int(wanted) < min(UNRESERVED, account):
        raise errors.invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{UNRESERVED}]."
        )
