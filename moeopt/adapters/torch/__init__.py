"""Plans that run on PyTorch workers: expert parallelism, exchanges, migration, colocation."""
