# SPDX-License-Identifier: MIT
"""How a story is marked."""

BOTH = ("sqlite", "postgres")


def story(stores=BOTH, variant="asan", alone=False):
    """stores: each runs it once. variant: which build of superx. alone: nothing else runs beside it."""

    def mark(function):
        function.story = {"stores": stores, "variant": variant, "alone": alone}
        return function

    return mark
