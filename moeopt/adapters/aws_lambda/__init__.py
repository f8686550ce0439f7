"""AWS Lambda: a serverless plan deployed, run and billed."""
