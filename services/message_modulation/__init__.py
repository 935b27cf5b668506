"""Modulators: who becomes aware of what, and when a group goes on, rests or is parked.

Serves GetGroup, WatchMessages, RouteAction (a dry run).

Input of the group: agents-acted, which carries what the group's own agents did (AgentsActed), what
other groups send it (MessagesForwarded), its founding (GroupFounded), and who joins it
(AgentsJoined). Every replica reads population whole. Writes observations-delivered (the group's
next token), agents-acted of other groups (MessagesForwarded), step-completed, its state to groups,
and answers to model-answers. Key: group.

The modulator holds a group's token from the first one on, and sends it while the group's region is
wanted and the group is within the population's limit (ops/decisions/0012, 0017). A step is done
when its actions are routed and the next token is on its way, unless the group rests (nobody has
anything left to do) or is parked (not wanted).
"""
