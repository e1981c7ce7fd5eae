"""Shows how the streams behave, one line for each thing that can be seen. It prints the same natively and as a component.

    python3 behaviours.py FOLDER PORT
"""

import stage

import reading  # noqa: F401 - to be listed
import rudeness  # noqa: F401
import serving  # noqa: F401
import tls  # noqa: F401
import writing  # noqa: F401
from wasi_streams import asyncio

asyncio.run(stage.show_all())
