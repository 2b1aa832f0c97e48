import contextlib
import io
import unittest

import gaps


class ParseIntervalTest(unittest.TestCase):
    def test_two_numbers_are_an_interval(self):
        self.assertEqual(gaps.parse_interval(" -3\t12 # lunch\n"), (-3, 12))

    def test_an_empty_line_is_none(self):
        self.assertIsNone(gaps.parse_interval("\n"))
        self.assertIsNone(gaps.parse_interval("# only words\n"))

    def test_anything_else_is_an_error(self):
        for line in ("1", "1 2 3", "1 x", "5 4"):
            with self.subTest(line=line), self.assertRaises(ValueError):
                gaps.parse_interval(line)


class GapsTest(unittest.TestCase):
    def test_without_intervals_the_whole_range_is_a_gap(self):
        self.assertEqual(gaps.gaps([], 0, 24), [(0, 24)])

    def test_gaps_lie_before_between_and_after(self):
        self.assertEqual(gaps.gaps([(13, 17), (8, 12)], 0, 24), [(0, 8), (12, 13), (17, 24)])

    def test_touching_intervals_leave_no_gap(self):
        self.assertEqual(gaps.gaps([(0, 12), (12, 24)], 0, 24), [])

    def test_an_interval_inside_another_does_not_end_it(self):
        self.assertEqual(gaps.gaps([(2, 20), (4, 6)], 0, 24), [(0, 2), (20, 24)])

    def test_what_lies_outside_of_the_range_is_ignored(self):
        self.assertEqual(gaps.gaps([(-9, -1), (-5, 3), (22, 30), (40, 50)], 0, 24), [(3, 22)])


class MainTest(unittest.TestCase):
    def run_main(self, arguments, lines):
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = gaps.main(arguments, lines)
        return status, output.getvalue(), errors.getvalue()

    def test_gaps_are_printed_one_a_line(self):
        status, output, _ = self.run_main(["0", "24"], ["8 12\n", "\n", "13 17\n"])
        self.assertEqual((status, output), (0, "0 8\n12 13\n17 24\n"))

    def test_a_wrong_line_is_named(self):
        status, output, errors = self.run_main(["0", "24"], ["8 12\n", "noon\n"])
        self.assertEqual((status, output), (1, ""))
        self.assertIn("'noon'", errors)

    def test_wrong_arguments_print_the_usage(self):
        status, _, errors = self.run_main([], [])
        self.assertEqual(status, 2)
        self.assertIn("usage", errors)


if __name__ == "__main__":
    unittest.main()
