"""Verdicts: which candidates become samples, and the dataset tables they are delivered in.

Serves JudgeSample (a dry run), GetSample, ListSamples, GetDatasetStats, ExportDataset,
ReportDataset, WatchSamples.

A process is a member of two groups. The filter's input is instructions-generated; it writes
samples-judged, which is at the same time its state (a stratum is rebuilt from its verdicts), and
answers to model-answers. Key: dataset/stratum. A candidate is done when its verdict is published.

The dataset writer (group dataset-writer) has samples-judged for its input, and commits rows to the
dataset's table together with how far it read: a verdict is delivered when that commit stands.

Every replica reads datasets (orders and quotas) and samples-judged whole: near duplicates in other
strata, look-ups, statistics.
"""
