"""Who has a resource of the component.

The garbage collector drops the resources in a circle of garbage first, and only then runs what the circle has of `__del__` and
`finally`; to use a resource that is dropped ends the whole program. So each is kept here until its holder has been told of its end.
"""

_KEPT = set()


class Holder:
    def __init__(self, resource, expected):
        if not isinstance(resource, expected):
            raise TypeError(f"a {type(self).__name__} comes from open_connection or start_server")
        self._resource = resource
        _KEPT.add(resource)

    def __del__(self):
        _KEPT.discard(self.__dict__.get("_resource"))
