"""Everything that an account holds: what a removed deployment must leave as it was."""

from __future__ import annotations

from moeopt.adapters.aws_lambda.clients import Clients


def everything(clients: Clients) -> set[str]:
    """Return the names of all functions, roles, buckets and objects."""
    found = set()
    for page in clients.functions.get_paginator("list_functions").paginate():
        found |= {f"function {one['FunctionName']}" for one in page["Functions"]}
    for page in clients.roles.get_paginator("list_roles").paginate():
        found |= {f"role {one['RoleName']}" for one in page["Roles"]}
    for bucket in clients.storage.list_buckets()["Buckets"]:
        found.add(f"bucket {bucket['Name']}")
        pages = clients.storage.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
        for page in pages:
            found |= {f"object {bucket['Name']}/{one['Key']}" for one in page.get("Contents", [])}
    return found
