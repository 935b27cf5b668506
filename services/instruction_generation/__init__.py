"""Instructions: what people in a scenario would ask an assistant (MATRIX-Gen).

Serves CreateDataset, GetDataset, ListDatasets, PauseDataset, ResumeDataset, DeleteDataset,
PreviewInstruction. Datasets are standing orders (ops/decisions/0011).

Input of the group: samples-judged. Every replica reads datasets, population, scenarios-extracted
(the library) and samples-judged whole. Writes instructions-generated, datasets (orders and quotas),
population (which regions are wanted), its state to candidates, and answers to model-answers.
Key: dataset/stratum for claims, dataset for its order, region for whether it is wanted; who owns
the key's partition of samples-judged decides.

A candidate is done when its instruction is published; what was claimed is never claimed again. A
person of a scenario is asked once, unless the society brings nothing fresh (ops/decisions/0005).
"""
