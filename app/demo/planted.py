"""The demo's repository: a small shop, a pull request with planted bugs, and a later fix.

Each bug says who can find it: an analyser that ships with us, or only a model. One changed file,
`shop/money.py`, is right and must not be commented on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

OWNER = "acme"
REPO = "shop"
TITLE = "Export orders, add discounts"
BODY = "Adds an order export and a discount for large orders, and speeds up the report."

MODEL = "model"
CONTROL = "shop/money.py"

# Put together here so that this file holds nothing that looks like a real token.
_TOKEN = "ghp_" + "Zk3vQ9rT1xWb7LmN5cYd2HsJ8pFg4aKeUo6R"

_ORDERS = '''\
"""Orders and their lines."""


class Order:
    def __init__(self, customer, lines):
        self.customer = customer
        self.lines = lines

    def total(self):
        return sum(line.price * line.amount for line in self.lines)


def open_orders(orders):
    return [order for order in orders if order.lines]
'''

_ORDERS_HEAD = (
    _ORDERS
    + """

def collect(order, seen=[]):
    seen.append(order)
    return seen
"""
)

_DISCOUNT_HEAD = '''\
"""Discounts: customers get 10 percent off from 100 euros on, never more than 50 euros."""

LIMIT = 50


def discount(total):
    if total > 100:
        return max(total * 10 / 100, LIMIT)
    return 0
'''

_API = '''\
"""What the shop answers."""


def delete_order(user, store, order_id):
    if not user.may_delete(order_id):
        raise PermissionError(order_id)
    store.delete(order_id)
'''

_CHECK = """\
    if not user.may_delete(order_id):
        raise PermissionError(order_id)
"""

_REPORT = '''\
"""The monthly report."""


def report(store, month):
    lines = store.lines_of(month)
    return "\\n".join(f"{line.name}: {line.amount}" for line in lines)
'''

_REPORT_HEAD = '''\
"""The monthly report."""


def report(store, month):
    orders = store.orders_of(month)
    rows = []
    for order in orders:
        customer = store.customer(order.customer_id)
        rows.append(f"{customer.name}: {order.total()}")
    return "\\n".join(row)
'''

_EXPORT_HEAD = '''\
"""Writes all orders of a customer into an archive."""

import subprocess


def export(name, folder):
    subprocess.run(f"tar czf {name}.tar.gz {folder}", shell=True, check=True)
'''

_MAIL_HEAD = f'''\
"""Where receipts are sent from."""

HOST = "mail.example.com"
TOKEN = "{_TOKEN}"
'''

_MONEY = '''\
"""Amounts in cents."""


def cents(euros):
    return round(euros * 100)
'''

_MONEY_HEAD = '''\
"""Amounts in cents."""

CENTS_PER_EURO = 100


def cents(euros):
    """Return an amount in cents."""
    return round(euros * CENTS_PER_EURO)
'''

Files = Mapping[str, str]

BASE: Files = {
    "README.md": "# A shop\n",
    "shop/__init__.py": "",
    "shop/api.py": _API,
    "shop/money.py": _MONEY,
    "shop/orders.py": _ORDERS,
    "shop/report.py": _REPORT,
}

HEAD: Files = {
    "shop/api.py": _API.replace(_CHECK, ""),
    "shop/discount.py": _DISCOUNT_HEAD,
    "shop/export.py": _EXPORT_HEAD,
    "shop/mail.py": _MAIL_HEAD,
    "shop/money.py": _MONEY_HEAD,
    "shop/orders.py": _ORDERS_HEAD,
    "shop/report.py": _REPORT_HEAD,
}

FIX: Files = {
    "shop/export.py": _EXPORT_HEAD.replace(
        'f"tar czf {name}.tar.gz {folder}", shell=True',
        '["tar", "czf", f"{name}.tar.gz", "--", folder]',
    ),
    "shop/report.py": _REPORT_HEAD.replace(".join(row)", ".join(rows)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One planted bug. `line` is where it stands: in the new file, or in the old one for LEFT."""

    what: str
    area: str
    path: str
    line: int
    side: str
    finder: str


def _planted(
    what: str, area: str, finder: str, path: str, text: str, side: str = "RIGHT"
) -> Planted:
    lines = (BASE if side == "LEFT" else HEAD)[path].splitlines()
    number = next(n for n, line in enumerate(lines, 1) if text in line)
    return Planted(what=what, area=area, path=path, line=number, side=side, finder=finder)


BUGS = (
    _planted("a shell runs a file name", "security", "ruff", "shop/export.py", "shell=True"),
    _planted("a token in the source", "security", "secrets", "shop/mail.py", "TOKEN"),
    _planted("an undefined name", "correctness", "ruff", "shop/report.py", ".join(row)"),
    _planted("a list shared by all calls", "correctness", "ruff", "shop/orders.py", "seen=[]"),
    _planted("max where min was meant", "correctness", MODEL, "shop/discount.py", "max("),
    _planted("100 euros get no discount", "correctness", MODEL, "shop/discount.py", "> 100"),
    _planted("a query for each order", "performance", MODEL, "shop/report.py", "store.customer("),
    _planted(
        "the permission check is gone", "security", MODEL, "shop/api.py", "may_delete", "LEFT"
    ),
)
