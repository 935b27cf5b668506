"""MATRIX: a society of simulated people whose doings become post-training data.

The ring (key: group) simulates, the line (key: dataset/stratum) makes data of it:

    agent_state             people act                     -> agents-acted
    message_modulation      who becomes aware of what      -> observations-delivered (the ring)
                                                           -> step-completed
    scenario_extraction     a window of steps, summarised  -> scenarios-extracted
    instruction_generation  what a person would ask        -> instructions-generated
    reward_filtering        answers, rewards, verdicts     -> samples-judged, dataset tables

`events` is what they share, `runtime` what they stand on. They run as processes of their own over
Kafka, S3 and gRPC (each one's `__main__`; ops/services.md), or all five in one process over an
embedded log (`local`); `local.up` runs those processes on one machine. `cli` is the command
`matrix`. Each service's own docstring is its contract.
"""
