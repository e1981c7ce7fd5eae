"""Tests of the conformance tool; `make test-native` runs them."""

import shutil
import tempfile
import textwrap
import unittest
from pathlib import Path

import conformance

TABLE = """\
Some text.

| id | behaviour | level | status |
|---|---|---|---|
| R01 | One. | M | |
| R02 | Two, with \\| in it. | S | old |
| T01 | Three. | M | |
| T02 | Four. | M | |
"""


def tests_in(**files: str) -> list[conformance.Test]:
    """What the tool finds in a tree of these files; `guest_src` is guest/src/lib.rs and so on."""
    paths = {"guest_src": "guest/src/a/lib.rs", "guest_tests": "guest/tests/t.rs", "host": "host-tests/tests/h.rs"}
    with tempfile.TemporaryDirectory() as folder:
        for name, source in files.items():
            path = Path(folder) / paths[name]
            path.parent.mkdir(parents=True)
            path.write_text(textwrap.dedent(source), encoding="utf-8")
        return conformance.find_tests(Path(folder))


class FindTests(unittest.TestCase):
    def test_names_with_one_and_several_rows(self):
        tests = tests_in(
            guest_src="""
                #[cfg(test)]
                mod tests {
                    #[test]
                    fn r01_one() {}
                    #[test]
                    fn h02_h03_two() {}
                    #[test]
                    fn nothing_about_r01_here() {}
                }
            """
        )
        self.assertEqual([(test.rows, test.line) for test in tests], [(["R01"], 5), (["H02", "H03"], 7)])

    def test_attributes_of_many_shapes(self):
        tests = tests_in(
            guest_tests="""
                #[tokio::test(flavor = "multi_thread")]
                #[should_panic(expected = "[x]")]
                async fn r01_async() {}
                #[sim_test]
                // a comment between
                pub fn r02_own_macro() {}
                #[allow(dead_code)] #[test] fn r03_same_line() {}
                #[tokio::test(
                    start_paused = true
                )]
                async fn r04_long() {}
            """
        )
        self.assertEqual([test.rows[0] for test in tests], ["R01", "R02", "R03", "R04"])

    def test_what_proves_nothing(self):
        self.assertEqual(
            tests_in(
                host="""
                    fn r01_a_helper() {}
                    #[cfg(test)]
                    fn r02_a_helper_of_tests() {}
                    #[test]
                    #[ignore = "slow"]
                    fn r03_ignored() {}
                    #[test]
                    #[cfg_attr(windows, ignore)]
                    fn r04_sometimes_ignored() {}
                    // #[test]
                    // fn r05_commented_out() {}
                    /* /* nested */ #[test] fn r06_too() {} */
                    const PROGRAM: &str = r#"
                        #[test]
                        fn r07_in_a_string() { "quoted" }
                    "#;
                """
            ),
            [],
        )

    def test_lifetimes_and_characters_do_not_hide_code(self):
        tests = tests_in(
            host="""
                fn f<'a>(x: &'a str) -> char { if x == "\\"" { '"' } else { '\\'' } }
                #[test]
                fn r01_found() { let _ = b'"'; }
                #[test]
                fn r02_found() {}
            """
        )
        self.assertEqual(len(tests), 2)


def with_over_unix(over_unix: str, **files: str) -> Path:
    """A tree with guest/tests/over_unix.rs and other files beside it; the caller removes it."""
    root = Path(tempfile.mkdtemp())
    (root / "guest/tests").mkdir(parents=True)
    for name, source in {"over_unix": over_unix, **files}.items():
        (root / f"guest/tests/{name}.rs").write_text(textwrap.dedent(source), encoding="utf-8")
    return root


class OverUnix(unittest.TestCase):
    def tree(self, over_unix: str, **files: str) -> Path:
        root = with_over_unix(over_unix, **files)
        self.addCleanup(shutil.rmtree, root)
        return root

    def test_included_files_count_once_and_are_marked(self):
        root = self.tree(
            '#[path = "a.rs"]\nmod a;\n#[cfg(feature = "tls-ring")]\n#[path = "b.rs"]\nmod b;\n',
            a="#[test]\nfn r01_x() {}\n",
            b="#[test]\nfn r02_x() {}\n",
            c="#[test]\nfn r03_x() {}\n",
            unix="#[test]\nfn r04_x() {}\n",
        )
        found = [(test.name, test.over_unix) for test in conformance.find_tests(root)]
        self.assertEqual(found, [("r01_x", True), ("r02_x", True), ("r03_x", False), ("r04_x", True)])

    def test_an_inclusion_in_a_comment_is_none(self):
        root = self.tree('/*\n#[path = "a.rs"]\nmod a;\n*/\n// #[path = "a.rs"]\n// mod a;\n')
        self.assertEqual(conformance.files_over_unix(root), [])

    def test_worlds_that_are_not_checked_are_a_problem_in_included_files_alone(self):
        source = "fn f() {\n    // Network::new()\n    let net = Network::new();\n}\n"
        root = self.tree('#[path = "a.rs"]\nmod a;\n', a=source, b=source)
        problems = conformance.unchecked_worlds(root)
        self.assertEqual([problem.split(": ")[0] for problem in problems], ["guest/tests/a.rs:3"])

    def test_the_mark_is_about_the_tests_on_the_simulated_network(self):
        def mark(*tests: tuple[str, bool]) -> str | None:
            return conformance.Evidence([conformance.Test("r01_x", file, 1, on) for file, on in tests], None, None).over_unix

        included, other, unit = ("guest/tests/a.rs", True), ("guest/tests/b.rs", False), ("guest/src/c.rs", False)
        self.assertEqual(mark(included), "over Unix too")
        self.assertEqual(mark(included, unit), "over Unix too")
        self.assertEqual(mark(included, other), "over Unix too in part")
        self.assertIsNone(mark(other, unit))
        self.assertIsNone(mark())

    def test_mark_and_numbers_are_written_and_stay(self):
        markdown = TABLE.replace("Some text.", "Of the 4 rows, old.")
        tests = [
            conformance.Test("r01_x", "guest/tests/a.rs", 1, True),
            conformance.Test("t01_x", "guest/tests/a.rs", 2, True),
            conformance.Test("t01_y", "guest/tests/b.rs", 1),
            conformance.Test("t02_x", "guest/tests/b.rs", 2),
        ]
        evidence, _ = conformance.gather(conformance.read_rows(markdown), tests, '[[note]]\nrows = ["R01"]\ntext = "half"')
        once = conformance.with_statuses(markdown, evidence)
        self.assertIn("| R01 | One. | M | `r01_x`; over Unix too; half |\n", once)
        self.assertIn("| T01 | Three. | M | `t01_x`, `t01_y`; over Unix too in part |\n", once)
        self.assertIn("Of the 4 rows, 3 are proven by tests: 1 of these over Unix sockets too, 1 in part, 1 not.\n", once)
        self.assertEqual(conformance.with_statuses(once, evidence), once)


class Gather(unittest.TestCase):
    def setUp(self):
        self.rows = conformance.read_rows(TABLE)

    def gather(self, names: list[str], toml: str = ""):
        return conformance.gather(self.rows, [conformance.Test(name, "f.rs", 1) for name in names], toml)

    def test_rows_are_read(self):
        self.assertEqual([(row.id, row.level, row.status) for row in self.rows][:2], [("R01", "M", ""), ("R02", "S", "old")])

    def test_status_of_each_kind(self):
        toml = """
            [[reason]]
            rows = ["T01-T02"]
            text = "pending"
            [[note]]
            rows = ["R01", "R02"]
            text = "half"
        """
        evidence, problems = self.gather(["r01_x", "t01_y", "r01_z"], toml)
        self.assertEqual(problems, [])
        self.assertEqual(evidence["R01"].status(), "`r01_x`, `r01_z`; half")
        self.assertEqual(evidence["R02"].status(), "MISSING; half")
        self.assertEqual(evidence["T01"].status(), "`t01_y`; pending")
        self.assertEqual(evidence["T02"].status(), "pending")
        self.assertEqual([id for id in evidence if evidence[id].is_missing], ["R02"])

    def test_unknown_rows_are_problems(self):
        _, problems = self.gather(["r99_x"], '[[reason]]\nrows = ["Q01"]\ntext = "x"')
        self.assertEqual(len(problems), 2)

    def test_two_reasons_for_a_row_are_a_problem(self):
        entry = '[[reason]]\nrows = ["R01"]\ntext = "x"\n'
        self.assertEqual(len(self.gather([], entry * 2)[1]), 1)

    def test_writing_is_stable_and_touches_only_the_status(self):
        evidence, _ = self.gather(["r01_x"])
        once = conformance.with_statuses(TABLE, evidence)
        self.assertIn("| R01 | One. | M | `r01_x` |\n", once)
        self.assertIn("| R02 | Two, with \\| in it. | S | MISSING |\n", once)
        self.assertEqual(conformance.with_statuses(once, evidence), once)


class TheRealTable(unittest.TestCase):
    def test_every_reason_is_for_a_row(self):
        rows = conformance.read_rows((conformance.ROOT / conformance.TABLE).read_text(encoding="utf-8"))
        toml = (conformance.ROOT / conformance.REASONS).read_text(encoding="utf-8")
        self.assertEqual(len(rows), conformance.ROWS)
        self.assertEqual(conformance.gather(rows, [], toml)[1], [])


if __name__ == "__main__":
    unittest.main()
