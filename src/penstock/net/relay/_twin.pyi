from penstock.net.relay import compiled as twin

SHORT: int
FULL: int
END: int
FAILED: int
OVER: int

class Twin(twin.Twin):
    def __init__(self, epoll: int, /) -> None: ...
    def poll(self, timeout: float, most: int, /) -> list[tuple[int, int]]: ...
    def engage(
        self,
        one: int,
        read: int,
        last: float,
        other: int,
        read_other: int,
        last_other: float,
        frames: int = 0,
        /,
    ) -> None: ...
    def figures(self, fd: int, /) -> tuple[int, float]: ...
    def dismiss(self, fd: int, /) -> tuple[int, float, int, int, bytes]: ...
    def over(self, fd: int, other: int, /) -> tuple[int, int] | None: ...
