"""golden_retrieval: self-test. Run it, or let unittest find it."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import golden_retrieval  # noqa: E402
import golden_retrieval_keys as keys  # noqa: E402


class Test(unittest.TestCase):
    def test_every_key_finds_what_the_library_finds(self) -> None:
        for at, key in enumerate(keys.KEYS):
            passes = bool(keys.PASSES[at])
            self.assertTrue(passes or at >= keys.MEMBERS, "the table refuses a member")
            self.assertEqual(golden_retrieval.contains(key), passes)
            self.assertEqual(golden_retrieval.find(key), keys.INDEXES[at] if passes else None)
            if passes:
                self.assertEqual(golden_retrieval.index(key), keys.INDEXES[at])
            else:
                with self.assertRaises(KeyError):
                    golden_retrieval.index(key)
            self.assertLess(keys.INDEXES[at], golden_retrieval.RANGE)
        self.assertLessEqual(keys.MEMBERS, golden_retrieval.COUNT)

    def test_no_two_keys_share_an_index(self) -> None:
        self.assertEqual(len(set(keys.INDEXES[: keys.MEMBERS])), keys.MEMBERS)


if __name__ == "__main__":
    unittest.main()
