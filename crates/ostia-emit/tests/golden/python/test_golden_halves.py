"""golden_halves: self-test. Run it, or let unittest find it."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import golden_halves  # noqa: E402
import golden_halves_keys as keys  # noqa: E402


class Test(unittest.TestCase):
    def test_every_key_finds_what_the_library_finds(self) -> None:
        for at, key in enumerate(keys.KEYS):
            self.assertEqual(golden_halves.index(key), keys.INDEXES[at])
            self.assertLess(keys.INDEXES[at], golden_halves.RANGE)
        self.assertLessEqual(keys.MEMBERS, golden_halves.COUNT)

    def test_no_two_keys_share_an_index(self) -> None:
        self.assertEqual(len(set(keys.INDEXES[: keys.MEMBERS])), keys.MEMBERS)


if __name__ == "__main__":
    unittest.main()
