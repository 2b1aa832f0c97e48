import unittest

from schedule import buses, minutes, rounds, weekday


class ScheduleTest(unittest.TestCase):
    def test_rounds(self):
        self.assertEqual(rounds(18), 17)
        self.assertEqual(rounds(5), 5)

    def test_weekday(self):
        self.assertEqual(weekday(5, 4), 2)

    def test_minutes(self):
        self.assertEqual(minutes(1, 30), 90)

    def test_buses(self):
        self.assertEqual(buses(100, 50), 2)
        self.assertEqual(buses(101, 50), 3)


if __name__ == "__main__":
    unittest.main()
