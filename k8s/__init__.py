"""What the platform stands on in a cluster, as kustomizations; `generate` writes part of them."""
