"""``moeopt lambda``: a serverless plan deployed to AWS Lambda, and removed."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moeopt.cli import files, plans
from moeopt.cli.codes import DONE

if TYPE_CHECKING:
    from moeopt.adapters.aws_lambda.deployer.wanted import DeployOptions
    from moeopt.core.table import Table

#: What a deployment may be told: each a field of `DeployOptions`, which says what is left out.
_OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"metavar": "NAME", "help": "of the deployment (made from the problem's)"},
    "bucket": {"metavar": "BUCKET", "help": "of yours, to be used (one is made)"},
    "role": {"metavar": "ARN", "help": "of yours, for the functions (one is made)"},
    "layers": {"metavar": "ARN", "action": "append", "help": "a layer that holds NumPy"},
    "image": {"metavar": "URI", "help": "a container image that holds the worker"},
    "dependencies": {"metavar": "DIR", "type": Path, "help": "NumPy for Lambda, by pip --target"},
    "runtime": {"metavar": "RUNTIME", "help": "such as python3.12 (this Python's)"},
    "engine": {"choices": ("numpy", "torch"), "help": "what computes (torch in an image)"},
    "weights": {"metavar": "FILE", "type": Path, "help": "npz with the parameters (random)"},
    "seed": {"metavar": "N", "type": int, "help": "of random parameters (0)"},
    "keep_parameters": {
        "action": "store_true",
        "help": "warm functions do not download parameters again",
    },
    "reserve": {"action": "store_true", "help": "reserve as many calls as there are replicas"},
    "timeout_s": {"metavar": "S", "type": int, "help": "of every function (by the plan)"},
}

#: Options whose name on the command line is not the field's.
_FLAGS = {"layers": "--layer", "timeout_s": "--timeout"}


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "lambda",
        help="deploy a serverless plan to AWS Lambda, and remove it",
        description="Deploy a serverless plan to AWS Lambda; `moeopt run` runs it.",
    )
    tasks = parser.add_subparsers(title="tasks", metavar="TASK", required=True)
    _add_deploy(tasks)
    _add_remove(tasks)
    _add_policy(tasks)
    _add_image(tasks)


def _add_deploy(tasks: Any) -> None:
    parser = tasks.add_parser(
        "deploy",
        help="make what a plan needs, or change what differs",
        description="Make the functions of a plan, its role, bucket and objects; what is there"
        " already stays, and what others made is never touched.",
    )
    parser.add_argument("plan", metavar="PLAN", help="the plan's file, or -")
    parser.add_argument(
        "--instance", help="its problem: a file, - or @wing/name; else sought in the library"
    )
    for name, how in _OPTIONS.items():
        parser.add_argument(_flag(name), dest=name, default=None, **how)
    _add_common(parser)
    parser.set_defaults(run=deploy)


def _add_remove(tasks: Any) -> None:
    parser = tasks.add_parser(
        "remove",
        help="remove what a deployment made",
        description="Remove all that a deployment made, and nothing else.",
    )
    parser.add_argument("name", metavar="NAME", help="of the deployment")
    parser.add_argument("--bucket", metavar="BUCKET", help="of yours that it was deployed with")
    _add_common(parser)
    parser.set_defaults(run=remove)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="change nothing, say what would be")
    parser.add_argument("--region", metavar="REGION", help="of AWS (the environment's)")
    parser.add_argument("--json", action="store_true", help="print JSON, no tables")
    parser.add_argument("--quiet", action="store_true", help="no tables and no progress")


def _add_policy(tasks: Any) -> None:
    parser = tasks.add_parser(
        "policy",
        help="print the rights that a deployment takes",
        description="Print IAM policies as JSON: of who deploys, runs and removes, and of the"
        " functions. AWS is not asked.",
    )
    parser.add_argument("name", metavar="NAME", help="of the deployment")
    parser.add_argument("--account", required=True, metavar="ID", help="its 12 digits")
    parser.add_argument("--region", required=True, metavar="REGION", help="of AWS")
    for name in ("bucket", "role", "layers", "image"):
        parser.add_argument(_flag(name), dest=name, default=None, **_OPTIONS[name])
    parser.set_defaults(run=policy)


def _add_image(tasks: Any) -> None:
    parser = tasks.add_parser(
        "image",
        help="write what a container image with PyTorch is built of",
        description="Write the context of a container image, and print the commands that build"
        " and push it.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="where to; made if not there")
    parser.add_argument("--runtime", metavar="RUNTIME", help="Python of the image")
    parser.add_argument("--architecture", choices=("x86", "arm64"), default="x86")
    parser.set_defaults(run=image)


def deploy(args: argparse.Namespace) -> int:
    """Deploy a plan, or say what that would do."""
    from moeopt.core.errors import InstanceError
    from moeopt.serverless.problem import ServerlessProblem

    document = plans.read(args.plan, args.instance)
    with _named(args.plan):
        options = _options(args)
    problem = plans.problem_of(args.plan, args.instance, document)
    if not isinstance(problem, ServerlessProblem):
        tag = type(problem).__struct_config__.tag
        path = f"{plans.shown(args.plan)}: $.plan"
        raise InstanceError(path, tag, "must be serverless", "give a serverless plan")

    from moeopt.adapters.aws_lambda import clients, deploy

    aws = clients.connect(region=args.region)
    with _named(args.plan):
        fleet = deploy.fleet_of(problem, document.plan, options, aws)
        weights = deploy.weights_of(problem, options)
        done = deploy.deploy(fleet, weights, aws, options, dry_run=args.dry_run, say=_teller(args))
    _print(args, done.document(), done.tables())
    return DONE


def remove(args: argparse.Namespace) -> int:
    """Remove a deployment, or say what that would do."""
    from moeopt.adapters.aws_lambda import clients, remove
    from moeopt.adapters.aws_lambda.deployer.changes import changes_table
    from moeopt.adapters.aws_lambda.names import Names

    with _named(name="NAME"):
        names, given = Names(args.name), _options(args)
    aws = clients.connect(region=args.region)
    changes = remove.remove(
        names, aws, bucket=given.bucket, dry_run=args.dry_run, say=_teller(args)
    )
    verb = "would be removed" if args.dry_run else "is removed"
    title = f"{args.name} {verb}" if changes else f"nothing of {args.name} is there"
    document = {
        "deployment": args.name,
        "done": not args.dry_run,
        "changes": [change.to_dict() for change in changes],
    }
    if changes or args.json:
        _print(args, document, [changes_table(title, changes)])
    elif not args.quiet:
        print(title)
    return DONE


def policy(args: argparse.Namespace) -> int:
    """Print the policies of a deployment."""
    import re

    from moeopt.adapters.aws_lambda.deployer import iam
    from moeopt.adapters.aws_lambda.names import Names
    from moeopt.core.errors import InstanceError
    from moeopt.io import to_json

    if not re.fullmatch(r"\d{12}", args.account, re.ASCII):
        raise InstanceError("--account", args.account, "must be 12 digits", "see the console")
    with _named(name="NAME"):
        names, given = Names(args.name), _options(args)
    used = names.bucket(args.account) if given.bucket is None else given.bucket
    deployer = iam.deployer_policy(
        names,
        given.bucket,
        args.account,
        args.region,
        role=given.role,
        layers=given.layers,
        image=given.image,
    )
    worker = iam.worker_policy(names, used, args.region)
    policies = {"deployer": deployer, "worker": worker, "worker_trust": iam.trust_policy()}
    files.write_stdout(to_json(policies))
    return DONE


def image(args: argparse.Namespace) -> int:
    """Write an image's context, print the commands that make one of it."""
    from moeopt.adapters.aws_lambda.deployer.package import write_image_context
    from moeopt.core.errors import InstanceError

    with _named():
        try:
            commands = write_image_context(args.folder, args.runtime, args.architecture)
        except OSError as error:
            rule = f"must be a folder that can be written ({(error.strerror or '').lower()})"
            raise InstanceError("DIR", str(args.folder), rule, "choose another place") from None
    print("\n".join(commands))
    return DONE


def _flag(name: str) -> str:
    return _FLAGS.get(name, "--" + name.replace("_", "-"))


def _options(args: argparse.Namespace) -> DeployOptions:
    """Return the settings that were given, the others as they are without."""
    from moeopt.adapters.aws_lambda.deployer.wanted import DeployOptions

    given = {name: getattr(args, name, None) for name in _OPTIONS}
    if given["image"] is not None and given["engine"] is None:
        given["engine"] = "torch"
    if given["layers"] is not None:
        given["layers"] = tuple(given["layers"])
    return DeployOptions(**{name: value for name, value in given.items() if value is not None})


@contextlib.contextmanager
def _named(plan: str | None = None, name: str = "--name") -> Iterator[None]:
    """Let errors about an option, or about the plan, name it as the command line does."""
    from moeopt.core.errors import InstanceError

    try:
        yield
    except InstanceError as error:
        if plan is not None and error.path.startswith("$"):
            raise error.under(f"{plans.shown(plan)}: $") from None
        if error.path in _OPTIONS:
            flag = name if error.path == "name" else _flag(error.path)
            raise InstanceError(flag, error.value, error.rule, error.remedy) from None
        raise


def _teller(args: argparse.Namespace) -> Callable[[str], None]:
    """Return what tells of progress on standard error, unless nothing is to be told."""

    def say(line: str) -> None:
        if not args.quiet:
            # In one piece: other threads may print too.
            sys.stderr.write(f"moeopt: {line}\n")
            sys.stderr.flush()

    return say


def _print(args: argparse.Namespace, document: Any, tables: Sequence[Table]) -> None:
    if args.json:
        from moeopt.io import to_json

        files.write_stdout(to_json(document))
    elif not args.quiet:
        from moeopt.core.table import print_tables

        print_tables(tables)
