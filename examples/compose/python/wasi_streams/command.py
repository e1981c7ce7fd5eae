"""A Python program as a command: what a component of it exports.

componentize-py runs the top level of every module while it builds, and a program's must run when it is started. So the program is
compiled while the component is built, and what it imports is imported: at run time there are no files to import from.
"""

import ast
import atexit
import importlib
import linecache
import sys
import traceback
import types

from componentize_py_types import Err
from wit_world import exports

# Imported by the standard library only when they are needed.
for encoding in ("ascii", "cp1252", "idna", "latin_1", "punycode", "unicode_escape", "utf_16", "utf_32", "utf_8_sig"):
    importlib.import_module(f"encodings.{encoding}")


def command(programs):
    """The class `Run`, of programs by their file names. Of several the first argument names the one to be run."""
    codes = {name.removesuffix(".py"): prepared(name, source) for name, source in programs.items()}

    class Run(exports.Run):
        def run(self):
            sys.stdout.reconfigure(line_buffering=True)
            try:
                status = start(codes)
                atexit._run_exitfuncs()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
            if status:
                raise Err(None)

    return Run


def prepared(name, source):
    for node in ast.walk(ast.parse(source, name)):
        try:
            import_at_once(node)
        except ModuleNotFoundError as missing:
            print(f"{name}: {missing}; the component will be without", file=sys.stderr)
    # Tracebacks show lines of it.
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    return compile(source, name, "exec")


def import_at_once(node):
    """Imports what the statement would import, wherever it stands."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            importlib.import_module(alias.name)
    elif isinstance(node, ast.ImportFrom) and node.module:
        module = importlib.import_module(node.module)
        for alias in node.names:
            if alias.name != "*" and not hasattr(module, alias.name):
                importlib.import_module(f"{node.module}.{alias.name}")


def start(codes):
    """Runs the program to its end; the answer is its exit status, of which WASI knows zero and others."""
    if len(codes) > 1:
        if len(sys.argv) < 2 or sys.argv[1] not in codes:
            print(f"the first argument is the program: {', '.join(codes)}", file=sys.stderr)
            return 2
        sys.argv = sys.argv[1:]
        code = codes[sys.argv[0]]
    else:
        [code] = codes.values()
    main = types.ModuleType("__main__")
    main.__file__ = code.co_filename
    sys.modules["__main__"] = main
    try:
        exec(code, vars(main))
    except SystemExit as exit:
        return exit_status(exit.code)
    except BaseException as error:
        # Without this function's own line.
        traceback.print_exception(error.with_traceback(error.__traceback__.tb_next))
        return 1
    return 0


def exit_status(code):
    """What `sys.exit` was given is a number, nothing, or a text for people."""
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1
