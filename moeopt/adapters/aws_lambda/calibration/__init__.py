"""What recordings show: samples, lines through them, and the constants that follow.

`moeopt.adapters.aws_lambda.calibrate.calibrated` is the door.
"""
