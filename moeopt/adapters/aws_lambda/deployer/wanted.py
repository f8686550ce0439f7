"""What is to be there for a plan: settings, and the state that follows from them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deployer.iam import role_arn
from moeopt.adapters.aws_lambda.deployer.package import (
    HANDLER,
    Package,
    code_package,
    own_runtime,
    require_glibc,
)
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.names import Names, name_from
from moeopt.adapters.aws_lambda.weights import Weights, random_weights, read_weights
from moeopt.adapters.aws_lambda.worker import protocol
from moeopt.core.arguments import whole
from moeopt.core.errors import InstanceError
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import ServerlessProblem

#: What Lambda calls the architectures of price books.
ARCHITECTURES = {"x86": "x86_64", "arm64": "arm64"}

#: Least ephemeral storage of a function, MB.
_LEAST_EPHEMERAL_MB = 512

#: Where a stand is.
_HERE = ("127.0.0.1", "localhost", "::1")

_PATTERNS = {
    "bucket": (r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of a bucket"),
    "role": (r"arn:aws[a-z-]*:iam::\d{12}:role/.+", "the ARN of a role, arn:aws:iam::..."),
    "layers": (r"arn:aws[a-z-]*:lambda:.+:layer:.+:\d+", "ARNs of versions of layers"),
    "image": (r"\S+/\S+", "the URI of an image in a registry"),
}


@dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """How a plan is deployed.

    Attributes
    ----------
    name
        Of the deployment; made from the problem's name if left out.
    bucket
        A bucket of the user's, in the functions' region, in which only our prefix is used; one of
        the deployment's own if left out.
    role
        ARN of a role of the user's that functions run under; one is made if left out.
    layers
        ARNs of layers that hold NumPy, which is then left out of the package.
    image
        URI of a container image that holds the worker, in place of a package. One that is pushed
        anew under the same tag is not noticed: name it by its digest, or by a new tag.
    dependencies
        Folder of what goes into the package beside the worker, as ``pip install --target`` makes
        it; NumPy as it is installed here if left out.
    runtime
        Lambda's Python, such as ``"python3.12"``; the one that runs here if left out.
    keep_parameters
        Whether a warm function keeps its parameters from call to call.
    reserve
        Whether as many concurrent calls as an expert has replicas are reserved for its function.
    timeout_s
        Of every function; by what is planned if left out.
    engine
        What computes; PyTorch comes in an image only.
    seed
        Of random parameters.
    weights
        File of the parameters; random ones if left out.

    Raises
    ------
    InstanceError
        If a setting is no such thing, or two exclude each other.
    """

    name: str | None = None
    bucket: str | None = None
    role: str | None = None
    layers: tuple[str, ...] = ()
    image: str | None = None
    dependencies: Path | None = None
    runtime: str | None = None
    keep_parameters: bool = False
    reserve: bool = False
    timeout_s: int | None = None
    engine: Literal["numpy", "torch"] = "numpy"
    seed: int = 0
    weights: Path | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            Names(self.name)
        given = {"bucket": self.bucket, "role": self.role, "image": self.image}
        for name, value in [*given.items(), *(("layers", arn) for arn in self.layers)]:
            pattern, what = _PATTERNS[name]
            if value is not None and not re.fullmatch(pattern, value):
                raise InstanceError(name, value, f"must be {what}", "copy it from the console")
        if self.timeout_s is not None and not 1 <= whole("timeout_s", self.timeout_s) <= 900:
            rule = "must be 1 to 900 seconds"
            raise InstanceError("timeout_s", self.timeout_s, rule, "or leave it out")
        if whole("seed", self.seed) < 0:
            raise InstanceError("seed", self.seed, "must be >= 0", "choose another")
        if self.engine not in ("numpy", "torch") or (self.engine == "torch" and not self.image):
            rule = "must be numpy, or torch in an image"
            raise InstanceError("engine", self.engine, rule, "give an image, or take numpy")
        for name in ("layers", "dependencies", "runtime") if self.image is not None else ():
            if getattr(self, name):
                rule = "must not be given with an image, which holds all there is"
                raise InstanceError(name, getattr(self, name), rule, "leave one of them out")


@dataclass(frozen=True)
class WantedFunction:
    """A function as it is to be.

    Attributes
    ----------
    name
        Its name.
    settings
        Its configuration, as Lambda's control plane takes it.
    environment
        Its variables.
    architecture
        As Lambda calls it.
    package_type
        ``"Zip"`` or ``"Image"``.
    code
        Where its code is, as Lambda's control plane takes it.
    code_sha256
        Of a package, as Lambda tells it; ``None`` for an image, which is known by its URI.
    reserved
        Concurrent calls that are reserved; ``None`` for none.
    """

    name: str
    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    architecture: str
    package_type: Literal["Zip", "Image"]
    code: Mapping[str, str]
    code_sha256: str | None
    reserved: int | None


@dataclass(frozen=True)
class Wanted:
    """All that is to be there.

    Attributes
    ----------
    fleet
        The plan, under its name and in its bucket.
    package
        The functions' code; ``None`` if they run an image.
    weights
        By the key of each object of parameters: an expert that they are those of, layer and
        expert, and their bytes.
    functions
        One for each expert.
    """

    fleet: Fleet
    package: Package | None
    weights: Mapping[str, tuple[int, int, int]]
    functions: tuple[WantedFunction, ...]

    @property
    def code_key(self) -> str | None:
        """Key of the package's object."""
        return None if self.package is None else self.fleet.names.code(self.package.sha256)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all objects."""
        code = 0 if self.package is None else len(self.package.data)
        return code + sum(size for _, _, size in self.weights.values())


def fleet_of(
    problem: ServerlessProblem, plan: ServerlessPlan, options: DeployOptions, clients: Clients
) -> Fleet:
    """Return the fleet of a plan: its names and its bucket.

    Raises
    ------
    InstanceError
        If the plan breaks a rule of the problem, or asks for what functions here cannot be.
    """
    names = Names(name_from(problem.name) if options.name is None else options.name)
    if problem.billing.provisioned_s is not None:
        rule = "must be left out to be deployed: functions here have no provisioned concurrency"
        path = "$.billing.provisioned_s"
        raise InstanceError(path, problem.billing.provisioned_s, rule, "plan without it")
    bucket = names.bucket(clients.account) if options.bucket is None else options.bucket
    return Fleet(problem, plan, names, bucket)


def weights_of(problem: ServerlessProblem, options: DeployOptions) -> Weights:
    """Return the parameters that are deployed: of a file, or random ones."""
    if options.weights is not None:
        return read_weights(options.weights, problem)
    return random_weights(problem, options.seed)


def wanted_of(fleet: Fleet, weights: Weights, options: DeployOptions, clients: Clients) -> Wanted:
    """Return what is to be there for a fleet.

    Raises
    ------
    InstanceError
        If the architecture is none of Lambda's, or the code cannot be packed.
    """
    problem, names = fleet.problem, fleet.names
    if problem.architecture not in ARCHITECTURES:
        rule = f"must be {' or '.join(ARCHITECTURES)} to be deployed"
        raise InstanceError("$.architecture", problem.architecture, rule, "choose one of them")
    package = None if options.image is not None else _package(problem, options, clients)
    keys, stored = dict[tuple[int, int], str](), dict[str, tuple[int, int, int]]()
    for layer in range(fleet.layers):
        for expert in range(fleet.experts(layer)):
            data = weights.expert(layer, expert).to_npz()
            key = names.weights(hashlib.sha256(data).hexdigest())
            keys[layer, expert] = key
            stored.setdefault(key, (layer, expert, len(data)))
    role = options.role or role_arn(names, clients.account, clients.region)
    functions = tuple(
        _function(fleet, layer, expert, key, package, role, options)
        for (layer, expert), key in keys.items()
    )
    return Wanted(fleet, package, stored, functions)


def _function(
    fleet: Fleet, layer: int, expert: int, weights: str, package: Package | None, role: str,
    options: DeployOptions,
) -> WantedFunction:  # fmt: skip
    """Return one expert's function."""
    settings: dict[str, Any] = {
        "MemorySize": fleet.memory_mb(layer, expert),
        "Timeout": options.timeout_s or fleet.timeout_s(layer),
        "Role": role,
        "EphemeralStorage": {"Size": max(_LEAST_EPHEMERAL_MB, fleet.problem.billing.ephemeral_mb)},
    }
    code, sha256 = {"ImageUri": options.image or ""}, None
    if package is not None:
        runtime = options.runtime or own_runtime()
        settings |= {"Runtime": runtime, "Handler": HANDLER, "Layers": list(options.layers)}
        code = {"S3Bucket": fleet.bucket, "S3Key": fleet.names.code(package.sha256)}
        sha256 = base64.b64encode(bytes.fromhex(package.sha256)).decode("ascii")
    return WantedFunction(
        name=fleet.function(layer, expert),
        settings=settings,
        environment={
            protocol.BUCKET: fleet.bucket,
            protocol.WEIGHTS: weights,
            protocol.KEEP: "1" if options.keep_parameters else "0",
            protocol.ENGINE: options.engine,
        },
        architecture=ARCHITECTURES[fleet.problem.architecture],
        package_type="Zip" if package is not None else "Image",
        code=code,
        code_sha256=sha256,
        reserved=int(fleet.plan.replicas[layer, expert]) if options.reserve else None,
    )


def _package(problem: ServerlessProblem, options: DeployOptions, clients: Clients) -> Package:
    """Return the functions' code, which must load where they run."""
    runtime, architecture = options.runtime or own_runtime(), problem.architecture
    package = code_package(architecture, runtime, options.dependencies, bare=bool(options.layers))
    # A stand runs it on this machine, whatever the runtime is called.
    if urlsplit(clients.functions.meta.endpoint_url).hostname not in _HERE:
        require_glibc(package, runtime, architecture)
    return package
