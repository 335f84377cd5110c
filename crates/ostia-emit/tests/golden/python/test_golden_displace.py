"""golden_displace: self-test. Run it, or let unittest find it."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import golden_displace  # noqa: E402
import golden_displace_keys as keys  # noqa: E402


class Test(unittest.TestCase):
    def test_every_key_finds_what_the_library_finds(self) -> None:
        for at, key in enumerate(keys.KEYS):
            passes = bool(keys.PASSES[at])
            self.assertTrue(passes or at >= keys.MEMBERS, "the table refuses a member")
            self.assertEqual(golden_displace.contains(key), passes)
            self.assertEqual(golden_displace.find(key), keys.INDEXES[at] if passes else None)
            if passes:
                self.assertEqual(golden_displace.index(key), keys.INDEXES[at])
            else:
                with self.assertRaises(KeyError):
                    golden_displace.index(key)
            self.assertEqual(golden_displace.value(key), keys.VALUES[at] if passes else None)
            self.assertLess(keys.INDEXES[at], golden_displace.RANGE)
        self.assertLessEqual(keys.MEMBERS, golden_displace.COUNT)

    def test_no_two_keys_share_an_index(self) -> None:
        self.assertEqual(len(set(keys.INDEXES[: keys.MEMBERS])), keys.MEMBERS)

    def test_a_number_that_is_no_key_at_all_is_foreign(self) -> None:
        for key in (golden_displace.LOWEST - 1, golden_displace.HIGHEST + 1, keys.KEYS[0] + 2**64):
            self.assertFalse(golden_displace.contains(key))


if __name__ == "__main__":
    unittest.main()
