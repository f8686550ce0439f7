"""The vocabulary: devices, nodes, clusters, model shapes and their loads."""
