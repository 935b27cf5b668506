"""Agents: who they are, what they remember, and what they do next.

Serves ImportAgents, GetAgent, ListAgents, ListGroups, SetPopulation, GetPopulation, WatchActions.

Input of the group: observations-delivered (a group's token, its founding, or who joins it). Every
replica reads population whole. Writes agents-acted, its state to agents, and the answers of
unfinished steps to model-answers; an import writes observations-delivered, then population, from
any replica, and one that joins a society first what it decided (ops/decisions/0017).
Key: group.

The owner of one key of population controls how many agents are active, so that the model server is
just saturated (ops/decisions/0018).

A founding is done when its agents are in the changelog and the modulator was told (GroupFounded on
agents-acted, AgentsJoined for who joins); a step, when every agent of the group that had a reason
to act did so, the new state and the actions are one record of the changelog, and the actions are
published. An import is done when population holds SocietyImported; it is repeated until then, by
who asked for it.
"""
