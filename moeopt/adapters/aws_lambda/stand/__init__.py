"""A stand-in for Lambda, S3 and IAM on this machine, for tests and for trying without an account.

`moeopt.adapters.aws_lambda.stand.local.Stand` starts it: a process with moto's server (S3, IAM, and
Lambda's control plane) and with calls answered by real workers, processes of ``awslambdaric``.
"""
