"""What runs inside a function: packed and sent as it stands, importing nothing of moeopt.

Modules here import each other relatively: in the package they are ``moeopt_worker``.
"""
