"""Verdicts: which candidates become samples, and the dataset tables they are delivered in.

Reads instructions-generated and datasets (quotas); writes samples-judged, which is at the same
time its state: a stratum is rebuilt from its verdicts. Key: dataset/stratum. A candidate is done
when its verdict is published. The dataset writer reads samples-judged and commits rows together
with how far it read.
"""
