"""How an instruction becomes a sample: what is sampled and measured, by the recipe of its kind.

    desk          the models for one candidate, and what they cost
    answering     the best of n responses
    pairing       against it, the worst of the student's
    conversing    several turns with the person
    reasoning     a final answer, and how often the student finds it
    coding        a solution that passes its tests, and how often the student's does
    rollouts      the student's attempts at a verifiable prompt, in two stages
    evaluating    a second reward that has no say
    refusing      a refusal that helps, or an answer where it is benign

A recipe only measures. Whether the sample is accepted is decided by `deciding`, from what was
measured and the state of the stratum.
"""
