"""Instructions: what people in a scenario would ask an assistant (MATRIX-Gen).

Owns the datasets (standing orders). Reads scenarios-extracted (the library, whole), datasets, and
samples-judged (feedback); writes instructions-generated, datasets (quotas), population (which
regions are wanted), and its state to candidates. Key: group for claims, dataset for orders.
A candidate is done when its instruction is published; what was claimed is never claimed again. A
person of a scenario is asked once, unless the society brings nothing fresh (ops/decisions/0005).
"""
