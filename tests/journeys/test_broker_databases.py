"""Products of a parallel test run use separate databases of one broker server."""

import os

import psycopg

from tests.journeys.product import BROKER_DATABASES, free_database


def test_no_two_products_are_given_the_same_database() -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as one, psycopg.connect(os.environ["DATABASE_URL"]) as other:
        given = free_database(one), free_database(other)
    assert len(set(given)) == 2
    assert set(given) <= set(BROKER_DATABASES)


def test_a_broker_database_is_free_again_after_its_product_stopped() -> None:
    for _ in range(len(BROKER_DATABASES) + 1):  # one more than there are
        with psycopg.connect(os.environ["DATABASE_URL"]) as passing:
            assert free_database(passing) in BROKER_DATABASES
