"""The controller: a `Dataset` object of Kubernetes is an order of the platform, and shows it.

The name of the object is the name of the dataset, so that a namespace holds one object for each.
Its spec is CreateDataset's request, in the JSON names of the protobuf message, with `paused` and
`deletionPolicy`; what there is no RPC to change is immutable once the order is accepted. Its status
is what GetDataset tells.

The platform decides: a spec that it refuses becomes the condition `Accepted=False` with its words,
and is sent again when the object changes or the controller starts; an instruction_generation that
is away is asked until it answers. Nothing is kept here, so that a controller that is killed goes on
where the object and the platform are: the same order twice is one order.

Needs the extra `controller` (kopf); one replica, in the namespace of the objects.
"""
