"""Tests of writing the WIT dependencies; `make test-native` runs them."""

import tempfile
import unittest
from pathlib import Path

import wit_deps

CLOCKS = """\
package wasi:clocks@0.2.12;

/// Measures time.
@since(version = 0.2.0)
interface monotonic-clock {
  @since(version = 0.2.0)
  use wasi:io/poll@0.2.12.{pollable};
}

@unstable(feature = clocks-timezone)
interface timezone {
  use wall-clock.{datetime};
}

@since(version = 0.2.12)
interface wall-clock {
}

world imports {
  import monotonic-clock;
}
"""


class WitDeps(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "clocks.wit").write_text(CLOCKS, encoding="utf-8")

    def test_an_interface_comes_with_its_comment_and_in_our_version(self):
        text = wit_deps.files(self.folder, ["clocks/monotonic-clock"])["clocks.wit"]
        self.assertEqual(text.splitlines()[1:5], ["package wasi:clocks@0.2.0;", "", "/// Measures time.", "@since(version = 0.2.0)"])
        self.assertIn("use wasi:io/poll@0.2.0.{pollable};", text)
        for other in ("timezone", "wall-clock", "imports"):
            self.assertNotIn(other, text)

    def test_a_package_comes_whole(self):
        whole = "package wasi:io@0.2.12;\n\ninterface error {\n}\n\ninterface poll {\n}\n"
        (self.folder / "io.wit").write_text(whole, encoding="utf-8")
        text = wit_deps.files(self.folder, ["io"])["io.wit"]
        self.assertEqual(text.partition("\n")[2], whole.replace("0.2.12", "0.2.0"))

    def test_what_is_not_in_our_version_is_refused(self):
        for wanted in (["clocks"], ["clocks/wall-clock"], ["clocks/timezone"], ["clocks/monotonic-clock", "clocks/sundial"]):
            with self.subTest(wanted), self.assertRaises(wit_deps.Unusable):
                wit_deps.files(self.folder, wanted)

    def test_a_file_that_is_missing_changed_or_not_wanted_is_a_difference(self):
        wanted = {"clocks.wit": CLOCKS}
        self.assertEqual(wit_deps.differences(self.folder, wanted), [])
        self.assertEqual(wit_deps.differences(self.folder, {"clocks.wit": "", "io.wit": ""}), ["clocks.wit", "io.wit"])
        self.assertEqual(wit_deps.differences(self.folder, {}), ["clocks.wit"])
        self.assertEqual(wit_deps.differences(self.folder / "none", wanted), ["clocks.wit"])


if __name__ == "__main__":
    unittest.main()
