"""Definitions are found by indentation in many languages, and no text takes long."""

import time
from textwrap import dedent

import pytest

from app.review.enclosing import MAX_LINES, Kind, Outline, defines, name_of

PYTHON = '''\
import os
from a import (
    b,
    c,
)

LIMIT = 3


class Shop:
    """A shop.

no code:
"""

    @cached
    # Counted once.
    def total(
        self,
        items,
    ):
        if not items:
            return 0
        return sum(
            item.price
            for item in items
        )

    def close(self):
        def inner():
            return 1

        return inner


print(LIMIT)
'''

JAVASCRIPT = """\
import { a } from "a";

const add = (x, y) => {
  return x + y;
};

describe("add", () => {
  it("adds", async () => {
    expect(add(
      1,
      2,
    )).toBe(3);
  });
});

class Cart {
  async total(items) {
    for (const item of items) {
      this.sum += item.price;
    }
    return `
no code
`;
  }
}
"""

GO = """\
package cart

import (
\t"fmt"
\t"os"
)

// Total adds up.
func (c *Cart) Total(
\titems []Item,
) int {
\tsum := 0
\tfor _, item := range items {
\t\tsum += item.Price
\t}
\tgo func() {
\t\tfmt.Println(sum)
\t}()
\treturn sum
}

type Cart struct {
\tItems []Item
}
"""

JAVA = """\
package shop;

public class Cart
{
    /**
     * Adds up.
     */
    @Override
    public int total(
            List<Item> items,
            int start) throws IOException
    {
        int sum = start;
label:
        for (Item item : items) {
            sum += item.price();
        }
        return sum;
    }

    private int n = 3;
}
"""

RUBY = """\
require 'json'

module Shop
  class Cart
    def total(items)
      items.each do |item|
        @sum += item.price
      rescue KeyError
        nil
      end
      @sum
    end

    private
  end
end
"""

C = """\
#include <stdio.h>

static int
total(struct item *items)
{
    int sum = 0;
#ifdef TAX
    sum += TAX;
#endif
    if (items) {
        sum++;
    }
out:
    return sum;
}
"""

RUST = """\
use std::io;

impl Cart {
    #[inline]
    pub fn total(&self) -> u32 {
        match self.kind {
            Kind::A => 1,
            _ => 2,
        }
    }
}
"""


def outline(text: str) -> Outline:
    return Outline(text.split("\n"))


def around(text: str, marked: str) -> tuple[str, str, tuple[str, ...]] | None:
    """Give the first and last line of what encloses a line, and the headers outside of it."""
    lines = text.split("\n")
    number = next(n for n, line in enumerate(lines, start=1) if marked in line)
    found = Outline(lines).enclosing(number, number)
    if found is None:
        return None
    return (
        lines[found.first - 1].strip(),
        lines[found.last - 1].strip(),
        tuple(lines[n - 1].strip() for n in found.outer),
    )


@pytest.mark.parametrize(
    ("text", "marked", "expected"),
    [
        (PYTHON, "return 0", ("@cached", ")", ("class Shop:",))),
        (PYTHON, "item.price", ("@cached", ")", ("class Shop:",))),
        (PYTHON, "@cached", ("@cached", ")", ("class Shop:",))),
        (PYTHON, "def total", ("@cached", ")", ("class Shop:",))),
        (PYTHON, "items,", ("@cached", ")", ("class Shop:",))),
        (PYTHON, "return 1", ("def close(self):", "return inner", ("class Shop:",))),
        (PYTHON, "class Shop", ("class Shop:", "return inner", ())),
        (PYTHON, "LIMIT = 3", None),
        (PYTHON, "print(LIMIT)", None),
        (JAVASCRIPT, "return x", ("const add = (x, y) => {", "};", ())),
        (JAVASCRIPT, "1,", ('describe("add", () => {', "});", ())),
        (JAVASCRIPT, "item.price", ("async total(items) {", "}", ("class Cart {",))),
        (JAVASCRIPT, "return `", ("async total(items) {", "}", ("class Cart {",))),
        (GO, "sum += ", ("// Total adds up.", "}", ())),
        (GO, "Println(sum)", ("// Total adds up.", "}", ())),
        (GO, "Items []", ("type Cart struct {", "}", ())),
        (JAVA, "sum += ", ("/**", "}", ("public class Cart",))),
        (JAVA, "int start)", ("/**", "}", ("public class Cart",))),
        (JAVA, "n = 3", ("public class Cart", "}", ())),
        (RUBY, "@sum +=", ("def total(items)", "end", ("module Shop", "class Cart"))),
        (RUBY, "nil", ("def total(items)", "end", ("module Shop", "class Cart"))),
        (C, "sum += TAX", ("total(struct item *items)", "}", ())),
        (C, "sum++", ("total(struct item *items)", "}", ())),
        (C, "return sum", ("total(struct item *items)", "}", ())),
        (RUST, "_ => 2", ("#[inline]", "}", ("impl Cart {",))),
        ("a\nb\nc", "b", None),
        ("a: 1\nb:\n  c: 2\n", "c: 2", None),
        ("\n\n\n", "", None),
        ("function f() {\nflat\n}\n", "flat", None),
    ],
)
def test_the_definition_around_a_line_is_found(
    text: str, marked: str, expected: tuple[str, str, tuple[str, ...]] | None
) -> None:
    assert around(text, marked) == expected


@pytest.mark.parametrize("unit", ["\t", "  ", "    "])
def test_any_indentation_tells_the_same(unit: str) -> None:
    text = f"class A:\n{unit}def f(self):\n{unit * 2}x = 1\n\n{unit}def g(self):\n{unit * 2}y = 2\n"
    assert around(text, "x = 1") == ("def f(self):", "x = 1", ("class A:",))


def test_a_place_in_two_definitions_is_shown_to_its_end() -> None:
    found = outline("def f():\n    a\n\ndef g():\n    b\n").enclosing(2, 5)
    assert found is not None
    assert (found.first, found.last) == (1, 5)


def test_a_nested_function_is_shown_with_the_one_around_it_unless_that_is_too_long() -> None:
    def nested(n: int) -> str:
        return "def f():\n" + "    x = 1\n" * n + "    def g():\n        y = 2\n"

    assert around(nested(5), "y = 2") == ("def f():", "y = 2", ())
    assert around(nested(MAX_LINES), "y = 2") == ("def g():", "y = 2", ("def f():",))


def test_of_many_definitions_around_the_nearest_few_are_named() -> None:
    text = "".join(" " * n + f"class A{n}:\n" for n in range(20)) + " " * 20 + "x = 1\n"
    found = outline(text).enclosing(21, 21)
    assert found is not None
    assert (found.header, found.outer) == (20, (15, 16, 17, 18, 19))


def test_a_long_definition_is_found_though_it_will_not_be_shown_whole() -> None:
    text = "def f():\n" + "    x = 1\n" * 1000
    found = outline(text).enclosing(500, 500)
    assert found is not None
    assert (found.first, found.header) == (1, 1)
    assert found.last == 500 + MAX_LINES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PYTHON, (1, 2, 3, 4, 5)),
        (JAVASCRIPT, (1,)),
        (GO, (1, 3, 4, 5, 6)),
        (C, (1,)),
        (RUBY, (1,)),
        ("const a = require('a');\nconst b = 2;\n", (1,)),
        ("import {\n  a,\n} from 'b';\nx();\n", (1, 2, 3)),
        ("important()\n", ()),
    ],
)
def test_imports_are_listed_with_all_their_lines(text: str, expected: tuple[int, ...]) -> None:
    assert outline(text).imports() == expected


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("    def f(self):", Kind.FUNCTION),
        ("export default async function main() {", Kind.FUNCTION),
        ("  render() {", Kind.FUNCTION),
        ("test('x', () => {", Kind.FUNCTION),
        ("std::vector<int> f(int a) const {", Kind.FUNCTION),
        ("pub struct A {", Kind.CLASS),
        ("data class A(val x: Int) {", Kind.CLASS),
        ("if (f(x)) {", None),
        ("} else if (f(x)) {", None),
        ("return f(x, {", None),
        ("foo({", None),
        ("x = f(a)", None),
        ("type = {", None),
        ("# def f():", None),
        ("", None),
    ],
)
def test_a_line_tells_what_it_begins_to_define(line: str, kind: Kind | None) -> None:
    assert outline(line).kind(1) is kind


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("def total(self):", "total"),
        ("func (c *Cart) Total(x int) {", "Total"),
        ("class Cart(Base):", "Cart"),
        ("function* walk(a) {", "walk"),
        ("  def self.call(env)", "call"),
        ("const add = (x) => {", "add"),
        ("LIMIT: int = 3", "LIMIT"),
        ("x := 3", "x"),
    ],
)
def test_a_name_is_known_where_it_is_defined(line: str, name: str) -> None:
    assert name_of(line) == name
    assert defines(line, name)
    assert not defines(line, name + "x")


@pytest.mark.parametrize("line", ["total(1)", "    total = 1", "if total == 1:", "f(total=1)", ""])
def test_a_use_is_no_definition(line: str) -> None:
    assert not defines(line, "total")


@pytest.mark.parametrize(
    "text",
    [
        "x" * 200_000,
        " " * 200_000,
        "\t" * 200_000 + "x",
        '"\\' * 100_000,
        "'" * 200_001,
        "/*" * 100_000,
        " /*\n" * 50_000,
        "`" * 200_001,
        '"""\n' * 50_001,
        "(" * 200_000,
        "f(" * 20_000 + "\n" + "f(){\n" * 20_000,
        "\n".join(" " * (n % 1_000) + "def f(x) {" for n in range(2_000)),
        "\n".join(" " * (1_000 - n) + "a(" for n in range(1_000)),
        "@a\n" * 60_000,
        "import (\n" * 100_000,
        ")\n" * 100_000,
    ],
    ids=range(16),
)
def test_hostile_text_takes_no_time(text: str) -> None:
    before = time.process_time()
    found = outline(text)
    n_lines = text.count("\n") + 1
    for number in (1, n_lines // 2 + 1, n_lines):
        found.enclosing(number, number)
    found.imports()
    assert time.process_time() - before < 2  # under 0.4 s on a small machine


def test_text_in_quotes_and_comments_says_nothing_about_structure() -> None:
    text = dedent(
        """\
        def f():
            a = '''
        def not_me():
            no
        '''
            # comment
        # comment
            b = "/*"
            return b
        """
    )
    assert around(text, "return b") == ("def f():", "return b", ())
