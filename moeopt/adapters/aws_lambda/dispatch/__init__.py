"""Tokens to functions and back: rows, pieces, objects, and calls that are made until they succeed.

`moeopt.adapters.aws_lambda.gate.Gate` is the door.
"""
