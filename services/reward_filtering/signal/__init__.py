"""What a sample can teach the current student, as pure mathematics.

    learnability    a verifiable prompt: learnability, chance of no gradient, group advantages
    rollouts        whether its success rate can still end in the band, and what to roll out next
    pods            the rollouts of a group that maximise reward variance
    pairs           preference pairs, and the running percentiles of a stratum's pairs
    bands           which pairs are kept: R.I.P. band and margin band

No model, no clock, no randomness: numbers in, numbers and reasons out.
"""
