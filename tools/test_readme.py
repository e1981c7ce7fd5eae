"""Tests of tools/readme.py."""

import unittest

import readme


class Commands(unittest.TestCase):
    def test_only_sh_blocks_count_and_comments_go(self):
        text = "```sh\nmake demo    # builds\n\necho one\n```\n```console\n$ no\n```\n```rust\nfn x() {}\n```\n```sh\necho two\n```\n"
        self.assertEqual(readme.commands(text), ["make demo", "echo one", "echo two"])


if __name__ == "__main__":
    unittest.main()
