"""A plan for tokens that were predicted wrongly, run by functions, and mended by what they did.

The functions are processes on this machine, on a stand-in for AWS Lambda: pip install
'moeopt[bayes,stand]', Linux. With `connect()` in place of the stand's clients they are those of
your account.

Run: python examples/serverless_on_a_stand.py
"""

import numpy as np

from moeopt.adapters.aws_lambda.deploy import DeployOptions
from moeopt.adapters.aws_lambda.feedback import LambdaRun
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.remove import remove
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.adapters.aws_lambda.weights import random_weights
from moeopt.popularity import Prediction, table_from_rows
from moeopt.serverless.bayes import optimise
from moeopt.serverless.bayes_objective import Deployed
from moeopt.serverless.bayes_pairs import table_space
from moeopt.serverless.bayes_trials import Trial
from moeopt.serverless.problem import (
    ExpertFunction,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)

#: Tokens of each expert: what the table predicts, and what comes.
PREDICTED, REAL = [2000, 100], [100, 2000]

#: Two experts; a token is 16 kB, so that 2,000 of them are more than 128 MB hold.
PROBLEM = ServerlessProblem(
    name="feedback",
    layers=(ServerlessLayer(tokens=np.array(PREDICTED, dtype=float)),),
    expert=ExpertFunction(
        parameter_bytes=32_768,
        intermediate_bytes=75_000_000,
        input_bytes_per_token=16_384,
        output_bytes_per_token=16_384,
        compute=VcpuModel(seconds_per_token=1e-6),
    ),
    network=Network(
        storage_bytes_per_s=1e9,
        function_bytes_per_s=1e9,
        access_delay_s=0.005,
        warm_start_s=0.002,
        cold_start_s=0.5,
    ),
    memory_mb=(128, 512),
    max_replicas=1,
    designs=(2,),
)


def told(number: int, trial: Trial) -> None:
    """Print what a deployment did."""
    found = trial.measured
    print(f"deployment {number}: {1e6 * trial.cost_usd:.1f} uUSD a batch, ", end="")
    print("out of memory" if found.over_memory else "within memory")


def main() -> None:
    """Deploy what a table of the past asks for, then what the functions' records ask for."""
    # 50 each of 42 tokens come. In the past 40 of these went to expert 0; now only two do.
    ids, none = np.arange(42), np.zeros(42, dtype=int)
    table = table_from_rows(none, ids, none, ids // 40, np.full(42, 9), experts=[2])
    token_ids = np.repeat(ids, 50)
    prediction = Prediction(table=table, token_ids=token_ids, rule="token_map")
    space = table_space(prediction, most_count=10)
    # Shares of a processor would only take time here.
    with Stand(Shape(cold_start_s=0.5, processors=False)) as stand:
        run = LambdaRun(
            clients=stand.clients(),
            weights=random_weights(PROBLEM),
            options=DeployOptions(name="feedback"),
            warm_up=False,
        )
        objective = Deployed(PROBLEM, space, [np.array([REAL])], [token_ids], run=run)
        tuned = optimise(objective, space, "gp", pairs=100, evaluations=2, progress=told)
        remove(Names("feedback"), run.clients)
    print(f"{len(space.adjusted(tuned.best.pairs).count)} rows in the table, of {len(ids)}")


if __name__ == "__main__":
    main()
