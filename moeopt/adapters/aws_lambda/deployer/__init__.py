"""How a deployment is made and removed: what is there, and the calls that change it."""
