"""``python -m moeopt``: the command line without the installed script."""

from moeopt.cli.main import run

if __name__ == "__main__":
    raise SystemExit(run())
