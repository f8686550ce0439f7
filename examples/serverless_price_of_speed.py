"""What a promise costs: GPT2 with experts as functions, from the cheapest plan to the fastest.

After figure 12 of arXiv 2501.05313, whose constants are not published: `moeopt.serverless.generate`
says what stands in for them.

Run: python examples/serverless_price_of_speed.py
"""

import moeopt
from moeopt.core.table import print_tables
from moeopt.serverless import evaluate, lambdaml, violations
from moeopt.serverless.generate import deployed
from moeopt.serverless.summary import layers_table


def main() -> None:
    """Deploy for growing promises, and compare with the paper's method and with none."""
    free = deployed("gpt2-moe")
    baseline = evaluate(free, lambdaml(free))
    speed = 10_240 / baseline.latency_s
    print(f"LambdaML: {speed:.2f} tokens/s for {1e3 * baseline.cost_usd:.3f} mUSD")
    for tokens_per_s in (0, 27, 28, 29, 30):
        problem = deployed("gpt2-moe", tokens_per_s=tokens_per_s)
        result = moeopt.solve(problem)
        value = evaluate(problem, result.plan)
        ods = moeopt.solve(problem, "ods")
        theirs = "none" if ods.objective is None else f"{1e3 * ods.objective:.3f}"
        print(
            f"{10_240 / value.latency_s:.2f} tokens/s for {1e3 * value.cost_usd:.3f} mUSD", end=""
        )
        print(f", {len(violations(problem, result.plan))} rules broken", end="")
        print(f", {100 * (1 - value.cost_usd / baseline.cost_usd):.1f} % saved, ods {theirs}")
    print_tables([layers_table(problem, result.plan, value)])
    hurried = moeopt.solve(deployed("gpt2-moe", tokens_per_s=35))
    print(hurried.status.value, hurried.violations[0].message)


if __name__ == "__main__":
    main()
