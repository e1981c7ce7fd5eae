"""asyncio's streams in a component of WASI 0.2: its own names, over the interface `wasi-streams:net/connections`.

    from wasi_streams import asyncio    # instead of: import asyncio
    from wasi_streams import ssl        # instead of: import ssl

Outside of a component both are the standard library's own, so the same program runs there too.
"""

try:
    import wit_world  # noqa: F401 - only components have it
except ModuleNotFoundError:
    import asyncio
    import ssl
else:
    from . import asyncio, ssl

__all__ = ["asyncio", "ssl"]
