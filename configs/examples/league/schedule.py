"""When and how often a league plays."""


def rounds(teams):
    """How many rounds each team needs to meet all others once."""
    if teams % 2 == 0:
        return teams - 1
    return teams


def weekday(first, days):
    """The weekday that many days after the first one, from 0 to 6."""
    return (first + days) % 7


def minutes(hours, rest):
    """The minutes in hours and a rest of minutes."""
    return hours * 60 + rest


def buses(fans, seats):
    """How many buses with so many seats are needed for the fans."""
    return (fans + seats - 1) // seats
