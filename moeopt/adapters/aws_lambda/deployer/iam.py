"""Policies with no more rights than deploying, running and removing take.

`deployer_policy` is for whoever deploys, runs and removes; `worker_policy` is what functions may
do, under a role that `trust_policy` lets Lambda take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moeopt.adapters.aws_lambda.names import Names

_VERSION = "2012-10-17"

#: Asked of functions of the deployment. `GetFunction` shows tags to those who may list them.
_FUNCTIONS = (
    "lambda:CreateFunction",
    "lambda:DeleteFunction",
    "lambda:DeleteFunctionConcurrency",
    "lambda:GetFunction",
    "lambda:InvokeFunction",
    "lambda:ListTags",
    "lambda:PutFunctionConcurrency",
    "lambda:TagResource",
    "lambda:UpdateFunctionCode",
    "lambda:UpdateFunctionConfiguration",
)

#: Asked of the role that is made.
_ROLE = (
    "iam:CreateRole",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:PutRolePolicy",
    "iam:TagRole",
)

#: Asked of the bucket that is made, and those of them that a bucket of the user's is asked.
_OWN_BUCKET = (
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketTagging",
    "s3:GetLifecycleConfiguration",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketTagging",
    "s3:PutLifecycleConfiguration",
)
_ANY_BUCKET = ("s3:ListBucket", "s3:ListBucketVersions")

#: Asked of objects under the deployment's prefix.
_OBJECTS = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject", "s3:PutObject")

#: What Lambda asks of a registry in the name of who deploys an image.
_IMAGE = (
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    "ecr:GetRepositoryPolicy",
    "ecr:SetRepositoryPolicy",
)


def partition(region: str) -> str:
    """Return the part of AWS that a region is in, as names of resources begin with it."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def role_arn(names: Names, account: str, region: str) -> str:
    """Return the full name of the role that is made."""
    return f"arn:{partition(region)}:iam::{account}:role/{names.role}"


def trust_policy() -> dict[str, Any]:
    """Return who may take the functions' role: Lambda alone."""
    principal = {"Service": "lambda.amazonaws.com"}
    return _policy(
        {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"},
    )


def worker_policy(names: Names, bucket: str, region: str = "us-east-1") -> dict[str, Any]:
    """Return what functions may do: read parameters and inputs, write outputs.

    They also may list the bucket. S3 says of an object that is not there yet "not found" to those
    who may list, and "denied" to all others; and a condition on the prefix would not hold for the
    reading of an object, which has none.

    Parameters
    ----------
    names
        Of the deployment.
    bucket
        Where its objects are.
    region
        Where it runs.
    """
    here = f"arn:{partition(region)}:s3:::{bucket}"
    read = [f"{here}/{names.prefix}weights/*", f"{here}/{names.batches}*"]
    return _policy(
        _allow(["s3:GetObject"], read),
        _allow(["s3:PutObject"], [f"{here}/{names.batches}*"]),
        _allow(["s3:ListBucket"], [here]),
    )


def deployer_policy(
    names: Names,
    bucket: str | None,
    account: str,
    region: str,
    *,
    role: str | None = None,
    layers: Sequence[str] = (),
    image: str | None = None,
) -> dict[str, Any]:
    """Return what deploying, running and removing a deployment takes.

    Parameters
    ----------
    names
        Of the deployment.
    bucket
        The user's bucket; ``None`` for one that is made.
    account, region
        Where it is deployed.
    role
        ARN of the user's role; ``None`` for one that is made.
    layers, image
        ARNs of layers, and URI of the image, that functions are made with.
    """
    part = partition(region)
    own_bucket = f"arn:{part}:s3:::{names.bucket(account)}"
    used_bucket = own_bucket if bucket is None else f"arn:{part}:s3:::{bucket}"
    own_role = role_arn(names, account, region)
    functions = f"arn:{part}:lambda:{region}:{account}:function:{names.functions}*"
    passed = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    statements = [
        _allow(_FUNCTIONS, [functions]),
        _allow(["lambda:ListFunctions"], ["*"]),
        _allow(["iam:PassRole"], [role or own_role], passed),
        # What is the deployment's own is looked for, and removed, even if the user's is used now.
        _allow(_ROLE, [own_role]),
        _allow(_OWN_BUCKET, [own_bucket]),
        _allow(_OBJECTS, sorted({f"{own}/{names.prefix}*" for own in (own_bucket, used_bucket)})),
    ]
    if bucket is not None:
        statements.append(_allow(_ANY_BUCKET, [used_bucket]))
    if layers:
        statements.append(_allow(["lambda:GetLayerVersion"], list(layers)))
    if image is not None:
        statements.append(_allow(_IMAGE, [_repository(image, account, region)]))
    return _policy(*statements)


def _repository(image: str, account: str, region: str) -> str:
    """Return the registry's name of the repository that an image is in."""
    registry, _, rest = image.partition("/")
    repository = rest.partition("@")[0].partition(":")[0]
    parts = registry.split(".")
    # 123456789012.dkr.ecr.us-east-1.amazonaws.com/repository:tag
    owner, place = (parts[0], parts[3]) if parts[1:3] == ["dkr", "ecr"] else (account, region)
    return f"arn:{partition(region)}:ecr:{place}:{owner}:repository/{repository}"


def _allow(
    actions: Sequence[str], resources: Sequence[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    return statement if condition is None else {**statement, "Condition": condition}


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": _VERSION, "Statement": list(statements)}
