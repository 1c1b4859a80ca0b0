"""How many examples Hypothesis tries: a quarter of them in the quick tests, all in .ci/run."""

from hypothesis import settings

FEWEST = 5
settings.register_profile("quick", max_examples=25)  # of the 100 of Hypothesis' own profile


def examples(number, **options):
    """The settings of a test that tries so many where nobody is in a hurry."""
    share = settings.default.max_examples / 100
    tried = max(min(number, FEWEST), round(number * share))
    return settings(**{"max_examples": tried, "derandomize": True, "deadline": None, **options})
