"""Functions as they are set up: moto's records, and their code unpacked into folders."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import threading
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from moeopt.adapters.aws_lambda.stand import errors


@dataclass(frozen=True)
class Function:
    """A function as the next call finds it.

    Attributes
    ----------
    name, arn
        What it is called.
    memory_mb, timeout_s
        What a call may use and take.
    handler
        Module and name of what is called.
    folder
        The unpacked code, the worker's working directory.
    paths
        Where Python looks for modules of layers.
    environment
        The user's variables.
    revision
        How often the function was updated.
    reserved
        Calls that it may have running at once, ``None`` if it shares the account's. A change of it
        ends no worker.
    """

    name: str
    arn: str
    memory_mb: int
    timeout_s: int
    handler: str
    folder: Path
    paths: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    revision: int
    reserved: int | None = field(compare=False)


class Functions:
    """The functions that moto knows; threads share it.

    Parameters
    ----------
    region
        Where they are.
    folder
        Where code is unpacked.
    images
        Folders of container images, by URI.
    """

    def __init__(self, region: str, folder: Path, images: Mapping[str, Path]) -> None:
        self._region = region
        self._folder = folder
        self._images = images
        self._lock = threading.Lock()
        self._revisions: dict[str, int] = {}

    def find(self, name: str, qualifier: str = "") -> Function:
        """Return a function.

        Raises
        ------
        Refusal
            If there is none of this name and version.
        """
        record = self._record(name)
        if record is None or qualifier not in ("", "$LATEST"):
            raise errors.function_not_found(self.arn(name) + (f":{qualifier}" if qualifier else ""))
        image = record.package_type == "Image"
        handler, folder = self._image(record) if image else (record.handler, self._code(record))
        reserved = record.reserved_concurrency
        return Function(
            name=name,
            arn=record.function_arn,
            memory_mb=int(record.memory_size),
            timeout_s=int(record.timeout),
            handler=str(handler),
            folder=folder,
            paths=self._layers(record),
            environment=tuple(sorted(record.environment_vars.items())),
            revision=self._revisions.get(name, 0),
            reserved=None if reserved is None else int(reserved),
        )

    def exists(self, name: str) -> bool:
        """Tell whether there is a function of this name."""
        return self._record(name) is not None

    def arn(self, name: str) -> str:
        """Return the ARN that a function of this name has."""
        from moto.core.models import DEFAULT_ACCOUNT_ID

        return f"arn:aws:lambda:{self._region}:{DEFAULT_ACCOUNT_ID}:function:{name}"

    def updated(self, name: str) -> None:
        """Note that a function was made, updated or deleted: it is not the same as before."""
        with self._lock:
            self._revisions[name] = self._revisions.get(name, 0) + 1
        record = self._record(name)
        if record is not None:
            # Each of moto's records has a copy of the code of its own, which nobody needs.
            record.code_bytes = b""

    def reserved(self) -> int:
        """Return the calls that are reserved for functions."""
        return sum(int(record.reserved_concurrency or 0) for record in self._records())

    def unpack(self, package: bytes) -> None:
        """Unpack a function's code, before the function has it.

        Raises
        ------
        Refusal
            If it cannot be unpacked.
        """
        self._unpacked(hashlib.sha256(package).hexdigest(), package)

    def has_image(self, uri: str) -> bool:
        """Tell whether a folder stands for this image."""
        return uri in self._images

    def stored(self, bucket: str, key: str) -> bytes:
        """Return a package from storage.

        Raises
        ------
        Refusal
            If it is not there.
        """
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.s3.exceptions import MissingBucket
        from moto.s3.models import s3_backends

        said = "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}"
        try:
            found = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_object(bucket, key)
        except MissingBucket:
            missing = "The specified bucket does not exist"
            raise errors.invalid(said.format("NoSuchBucket", missing)) from None
        if found is None:
            raise errors.invalid(said.format("NoSuchKey", "The specified key does not exist."))
        return bytes(found.value)

    def account(self, concurrency: int) -> dict[str, Any]:
        """Return what ``GetAccountSettings`` does."""
        records = self._records()
        return {
            "AccountLimit": {
                "TotalCodeSize": 80_530_636_800,
                "CodeSizeUnzipped": 262_144_000,
                "CodeSizeZipped": 52_428_800,
                "ConcurrentExecutions": concurrency,
                "UnreservedConcurrentExecutions": concurrency - self.reserved(),
            },
            "AccountUsage": {
                "TotalCodeSize": sum(int(record.code_size) for record in records),
                "FunctionCount": len(records),
            },
        }

    def _backend(self) -> Any:
        from moto.awslambda.models import lambda_backends
        from moto.core.models import DEFAULT_ACCOUNT_ID

        return lambda_backends[DEFAULT_ACCOUNT_ID][self._region]

    def _records(self) -> list[Any]:
        return list(self._backend().list_functions())

    def _record(self, name: str) -> Any:
        from moto.awslambda.exceptions import UnknownFunctionException

        try:
            return self._backend().get_function(name)
        except UnknownFunctionException:
            return None

    def _code(self, record: Any) -> Path:
        # Unpacked before moto had it.
        return self._folder / _hex(record.code_sha_256)

    def _layers(self, record: Any) -> tuple[str, ...]:
        paths = []
        for layer in record.layers:
            version = self._backend().layers_versions_by_arn(layer["Arn"])
            folder = self._unpacked(_hex(version.code_sha_256), version.code_bytes)
            paths.append(str(folder / "python"))
        return tuple(paths)

    def _unpacked(self, sha256: str, code: bytes) -> Path:
        """Return the folder of some code, unpacked once however many functions share it."""
        folder, draft = self._folder / sha256, self._folder / "draft"
        with self._lock:
            if not folder.exists():
                try:
                    with zipfile.ZipFile(BytesIO(code)) as archive:
                        archive.extractall(draft)
                    os.rename(draft, folder)
                except (zipfile.BadZipFile, zlib.error, RuntimeError):
                    raise errors.not_zipped() from None
                finally:
                    shutil.rmtree(draft, ignore_errors=True)
        return folder

    def _image(self, record: Any) -> tuple[str, Path]:
        uri = record.code["ImageUri"]
        folder = self._images[uri]
        command = record.image_config.cmd or _command(folder)
        return command[0] if command else "", folder


def _hex(sha256: str) -> str:
    """Return a hash, of which Lambda writes the bytes in base64, in hexadecimal."""
    return base64.b64decode(sha256).hex()


def _command(folder: Path) -> list[str]:
    """Return what the last ``CMD`` of a folder's Dockerfile holds, nothing if there is none."""
    try:
        lines = (folder / "Dockerfile").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = [line.removeprefix("CMD ") for line in lines if line.startswith("CMD [")]
    return [str(word) for word in json.loads(found[-1])] if found else []
