"""Commands: what a comment asks for, and all that only looks like it."""

import pytest

from app.review.command import (
    AskCommand,
    CancelCommand,
    Command,
    CommandLine,
    ConfigCommand,
    DismissCommand,
    EstimateCommand,
    HelpCommand,
    PauseCommand,
    ResumeCommand,
    ReviewCommand,
    UnknownCommand,
    WhyCommand,
    addresses,
    parse_commands,
    parse_line,
)
from app.review.focus import Area

MENTIONS = ("@codex", "@codex-review")
REVIEW = ReviewCommand()
HELP = HelpCommand()


def _areas(*areas: Area) -> ReviewCommand:
    return ReviewCommand(areas=areas)


def _wish(wish: str, *areas: Area) -> ReviewCommand:
    return ReviewCommand(wish=wish, areas=areas or None)


def _meant(text: str, areas: str) -> UnknownCommand:
    return UnknownCommand(text=f"review {text}", did_you_mean=f"review {areas}")


def _commands(markdown: str) -> list[Command]:
    return [given.command for given in parse_commands(markdown, MENTIONS)]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("@codex review", REVIEW),
        ("@codex-review review", REVIEW),
        ("@CODEX Review", REVIEW),
        ("@codex   review  ", REVIEW),
        ("@codex\treview", REVIEW),
        ("@codex\u00a0review", REVIEW),
        ("@codex: review", REVIEW),
        ("@codex, review!", REVIEW),
        ("@codex review.", REVIEW),
        ("@codex review?!…", REVIEW),
        ("@codex review。", REVIEW),
        ("@codex review <!-- soon -->", REVIEW),
        ("@codex review <!-- soon", REVIEW),
        ("@codex review full", ReviewCommand(full=True)),
        ("@codex full review", ReviewCommand(full=True)),
        ("@codex review full security", ReviewCommand(full=True, areas=(Area.SECURITY,))),
        ("@codex review security", _areas(Area.SECURITY)),
        ("@codex review: security", _areas(Area.SECURITY)),
        ("@codex security review", _areas(Area.SECURITY)),
        ("@codex Security Review.", _areas(Area.SECURITY)),
        ("@codex review security, performance", _areas(Area.SECURITY, Area.PERFORMANCE)),
        ("@codex review security,performance", _areas(Area.SECURITY, Area.PERFORMANCE)),
        ("@codex review performance security", _areas(Area.SECURITY, Area.PERFORMANCE)),
        ("@codex review docs and tests", _areas(Area.TESTS, Area.DOCS)),
        ("@codex security and docs review", _areas(Area.SECURITY, Area.DOCS)),
        ("@codex review security security", _areas(Area.SECURITY)),
        ("@codex review perf", _areas(Area.PERFORMANCE)),
        ("@codex review deps, bugs", _areas(Area.CORRECTNESS, Area.DEPENDENCIES)),
        ("@codex review for off by one", _wish("off by one")),
        ("@codex review for Races.", _wish("Races")),
        ("@codex review for error handling in the package", _wish("error handling in the package")),
        ("@codex review for security in login", _wish("security in login", Area.SECURITY)),
        ("@codex review security for login", _wish("login", Area.SECURITY)),
        ("@codex review security for the tests", _wish("the tests", Area.SECURITY)),
        ("@codex review for a, b, and c", _wish("a, b, and c")),
        ("@codex review full for x", ReviewCommand(full=True, wish="x")),
        ("@codex review for review", _wish("review")),
        ("@codex review for a\u200bb\u202ec\U000e0041", _wish("abc")),
        ("@codex review for 競合状態", _wish("競合状態")),
        ("@codex", HELP),
        ("@codex!", HELP),
        ("@codex help", HELP),
        ("@codex HELP!!", HELP),
        ("@codex <!-- nothing -->", HELP),
        (
            "@codex review secruity",
            UnknownCommand(text="review secruity", did_you_mean="review security"),
        ),
        (
            "@codex review docs, secruity for x",
            UnknownCommand(
                text="review docs, secruity for x", did_you_mean="review security, docs for …"
            ),
        ),
        ("@codex review ful", UnknownCommand(text="review ful", did_you_mean="review full")),
        ("@codex review please", UnknownCommand(text="review please", did_you_mean="review")),
        ("@codex please review", UnknownCommand(text="please review", did_you_mean="review")),
        ("@codex review for", UnknownCommand(text="review for", did_you_mean="review")),
        ("@codex reveiw", UnknownCommand(text="reveiw", did_you_mean="review")),
        ("@codex re-review.", UnknownCommand(text="re-review", did_you_mean="review")),
        ("@codex security", UnknownCommand(text="security", did_you_mean="review security")),
        ("@codex hlep", UnknownCommand(text="hlep", did_you_mean="help")),
        ("@codex estimate", EstimateCommand()),
        ("@codex Why?", WhyCommand()),
        ("@codex ask why?", AskCommand(question="why?")),
        ("@codex ask: is `x` safe, or not?", AskCommand(question="is `x` safe, or not?")),
        ("@codex ask review", AskCommand(question="review")),
        ("@codex ask", UnknownCommand(text="ask", did_you_mean="ask <question>")),
        ("@codex ask ?", UnknownCommand(text="ask", did_you_mean="ask <question>")),
        ("@codex ask \u200b", UnknownCommand(text="ask", did_you_mean="ask <question>")),
        ("@codex why is it so?", UnknownCommand(text="why is it so", did_you_mean="why")),
        ("@codex dismiss", DismissCommand()),
        ("@codex dismiss!", DismissCommand()),
        ("@codex dismiss: tests only, fine.", DismissCommand(reason="tests only, fine")),
        ("@codex dismis", UnknownCommand(text="dismis", did_you_mean="dismiss")),
        ("@codex pause", PauseCommand()),
        ("@codex Pause.", PauseCommand()),
        ("@codex resume", ResumeCommand()),
        ("@codex cancel!", CancelCommand()),
        ("@codex pause reviews", UnknownCommand(text="pause reviews", did_you_mean="pause")),
        ("@codex resmue", UnknownCommand(text="resmue", did_you_mean="resume")),
        ("@codex cancle", UnknownCommand(text="cancle", did_you_mean="cancel")),
        ("@codex cancel review", UnknownCommand(text="cancel review", did_you_mean="cancel")),
        ("@codex config", ConfigCommand()),
        ("@codex review:security", _areas(Area.SECURITY)),
        ("@codex review for: races", _wish("races")),
        ("@codex review security & tests", _meant("security & tests", "security, tests")),
        ("@codex review securty", _meant("securty", "security")),
        ("@codex review the security", _meant("the security", "security")),
        ("@codex reviews", UnknownCommand(text="reviews", did_you_mean="review")),
        ("@codex review\u3000security", _areas(Area.SECURITY)),
        ("@codex　review", REVIEW),
        ("@codex？ review", REVIEW),
        ("@codex review!!! :)", REVIEW),
        ("@codex please estimate", UnknownCommand(text="please estimate", did_you_mean="estimate")),
        ("@codex estimate.", EstimateCommand()),
        ("@codex ESTIMATE", EstimateCommand()),
        ("@codex Config!", ConfigCommand()),
        ("@codex configuration", UnknownCommand(text="configuration")),
        ("@codex dismiss <!-- not shown --> wanted", DismissCommand(reason="wanted")),
        ("@codex Dismiss – it's a test", DismissCommand(reason="– it's a test")),
        ("@codex ask 这样安全吗？", AskCommand(question="这样安全吗？")),
        ("@codex looks good to me", UnknownCommand(text="looks good to me")),
        ("@codex revіew", UnknownCommand(text="revіew", did_you_mean="review")),  # Cyrillic і
        ("@codex review\u200b", UnknownCommand(text="review\u200b", did_you_mean="review")),
        ("@codex re<!-- -->view", UnknownCommand(text="re view", did_you_mean="review")),
        ("@codex レビュー", UnknownCommand(text="レビュー")),
        ("@codex " + "x" * 60_000, UnknownCommand(text="x" * 60_000)),
    ],
)
def test_a_line_says(line: str, command: Command) -> None:
    assert _commands(line) == [command]


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("is this safe?", AskCommand(question="is this safe?")),
        ("why is this a problem?", AskCommand(question="why is this a problem?")),
        ("explain", AskCommand(question="explain")),
        ("did you review the callers?", AskCommand(question="did you review the callers?")),
        ("review this for races?", AskCommand(question="review this for races?")),
        ("help me", AskCommand(question="help me")),
        ("これは安全ですか？", AskCommand(question="これは安全ですか？")),
        ("why " * 20_000, AskCommand(question=("why " * 16_000).strip())),
        ("review", REVIEW),
        ("review for races", _wish("races")),
        ("why", WhyCommand()),
        ("dismiss not reachable", DismissCommand(reason="not reachable")),
        ("", HELP),
        ("dismis", UnknownCommand(text="dismis", did_you_mean="dismiss")),
        ("reveiw!", UnknownCommand(text="reveiw", did_you_mean="review")),
        ("review secruity", UnknownCommand(text="review secruity", did_you_mean="review security")),
        ("ask", UnknownCommand(text="ask", did_you_mean="ask <question>")),
        ("\u200b", UnknownCommand(text="ask", did_you_mean="ask <question>")),
    ],
)
def test_in_a_thread_other_words_are_a_question(said: str, command: Command) -> None:
    (given,) = parse_commands(f"@codex {said}"[:64_006].rstrip(), MENTIONS, in_thread=True)
    assert given.command == command
    assert parse_line(given.line, MENTIONS, in_thread=True) == command


TAILS = [
    "Am Mo., 5. Mai 2025 um 10:00 Uhr schrieb Bob <b@example.test>:",
    "Am 05.05.25 um 10:00 schrieb Bob Long\r\n<b@example.test>:",
    "Le lun. 5 mai 2025 à 10:00, Bob <b@example.test> a écrit :",
    "El lun, 5 may 2025 a las 10:00, Bob (<b@example.test>) escribió:",
    "Il giorno lun 5 mag 2025 alle ore 10:00 Bob <b@example.test> ha\r\nscritto:",
    "Em seg., 5 de mai. de 2025 às 10:00, Bob <b@example.test> escreveu:",
    "Op ma 5 mei 2025 om 10:00 schreef Bob <b@example.test>:",
    "пн, 5 мая 2025 г. в 10:00, Bob <b@example.test>:",
    "2025年5月5日(月) 10:00 Bob <b@example.test>:",
    "Bob <b@example.test> 于2025年5月5日周一 10:00写道：",
    "På mån 5 maj 2025 kl. 10.00 skrev Bob <b@example.test>:",
    "W dniu pon., 5 maj 2025 o 10:00 Bob <b@example.test> napisał(a):",
    "-----Ursprüngliche Nachricht-----\r\nVon: Bob",
    "-----Message d'origine-----\r\nDe : Bob",
    "-----Исходное сообщение-----",
    "-- \r\nBob",
]
"""What mail programs put beneath a message, in the languages of their users."""


def test_what_was_meant_is_told_in_words_of_ours_only() -> None:
    said = parse_line("@codex review secruity for `a` @acme/team <img src=x>", MENTIONS)
    assert isinstance(said, UnknownCommand)
    assert said.did_you_mean == "review security for …"


@pytest.mark.parametrize(
    "markdown",
    [
        "   @codex review",
        "Thanks!\n@codex review",
        "Thanks!\r\n@codex review\r\n",
        "Thanks!\r   @codex review",
        "Thanks!  \n@codex review",
        "Thanks!\\\n@codex review",
        "- @codex review",
        "- one\n  @codex review",
        "1. one\n2. @codex review",
        "* one\n  - two\n\n    @codex review",
        "# @codex review",
        "## @codex review ##",
        "@codex review\n---",
        "> a quote\n\n@codex review",
        "> On Monday Bob wrote:\n> yes\n\n@codex review",
        "```\ncode\n```\n@codex review",
        "```\n-- \n```\n@codex review",
        "    On Monday Bob wrote:\n\n@codex review",
        "<details>\n\n@codex review\n\n</details>",
        "<!-- hidden -->\n\n@codex review",
        "some `code`\n@codex review",
        "one stray ` backtick\n@codex review",
        "[a link](https://example.test)\n@codex review",
        "|a|b|\n|-|-|\n|c|d|\n\n@codex review",
        "[ref]: https://example.test\n@codex review",
        "On my machine it fails.\n\nShe wrote:\n\n@codex review",
        "--\n@codex review",
        "Bob <bob@codex.example>\n@codex review",
        "こんにちは\n@codex review\nありがとう",
        "مرحبا\n@codex review",
        "@codex review\n-- \n@codex help",
        "@codex review\n\nOn Mon, 5 May, Bob <b@example.test> wrote:\n> hi\n@codex help",
        "@codex review\n\nOn Mon, 5 May, Bob Long\n<b@example.test> wrote:\n\n@codex help",
        "@codex review\n-----Original Message-----\n@codex help",
        "@codex review\n\n----- original message -----\n\n@codex help",
        *(f"@codex review\r\n\r\n{tail}\r\n\r\n@codex help" for tail in TAILS),
        "-----BEGIN PUBLIC KEY-----\n@codex review",
        "--- what is left ---\n@codex review",
        "---\n@codex review\n---",
        "Bob <b@example.test> asked for this:\n@codex review",
        "The deploy at 10:30 needs:\n@codex review",
        "Steps:\n\n1) build\n2) @codex review",
        "+ @codex review",
        "### @codex review ###",
        "@codex review\n===",
        "- [link](https://example.test)\n- @codex review",
        "> > quoted twice\n\n@codex review\n\n> quoted",
        "- > quoted in a list\n\n- @codex review",
        "```diff\n+ @codex help\n```\n\n@codex review\n\n```\n@codex help\n```",
        "~~~\n@codex help\n~~~\n@codex review",
        "`@codex help`\n@codex review",
        "<p>@codex help</p>\n\n@codex review",
        "<!--\n@codex help\n-->\n@codex review",
        "|a|\n|-|\n|@codex help|\n\n@codex review",
        "***\n@codex review",
        "\n\n\n@codex review\n\n\n",
        "Спасибо!\n@codex review",
        "谢谢。\n\n@codex review\n\n再见。",
        "שלום\n@codex review",
        "👍\n@codex review",
        "cc @octocat, x@codex.example\n@codex review\nand @codexfoo",
    ],
)
def test_one_review_is_asked_for_in(markdown: str) -> None:
    assert parse_commands(markdown, MENTIONS) == (
        CommandLine(line="@codex review", command=REVIEW),
    )


@pytest.mark.parametrize(
    "markdown",
    [
        "",
        "please @codex review",
        "cc @codex review",
        "(@codex review)",
        "**@codex review**",
        "_@codex_ review",
        "~@codex review",
        '"@codex review"',
        "[@codex](https://example.test) review",
        "[@codex review](https://example.test)",
        "[two\n@codex review](https://example.test)",
        "![@codex review](https://example.test/x.png)",
        "![two\n@codex review](https://example.test/x.png)",
        '[x](https://example.test "two\n@codex review")',
        "- [ ] @codex review",
        "\\@codex review",
        "&#64;codex review",
        "/codex review",
        "codex review",
        "@ codex review",
        "@codexfoo review",
        "@codex-foo review",
        "@codex_foo review",
        "@codex/team review",
        "@codex.example review",
        "@codex@example.test review",
        "@codex[bot] review",
        "@codex's review was good",
        "@codex(review)",
        "@codexреview",
        "x@codex.example",
        "x@codex review",
        "mail me: x@codex.example\nreview",
        "#@codex review",
        "-@codex review",
        "1.@codex review",
        "- [x] @codex review",
        "hey, @codex review",
        "@codex-bot review",
        "@codex2 review",
        "@codex|review",
        "@codex/review",
        "@@codex review",
        "@codex@codex review",
        "<b>@codex review</b>",
        "<b>@codex</b> review",
        "~~@codex review~~",
        "***@codex*** review",
        "Ask for it with `@codex review`.",
        "“@codex review”",
        "→ @codex review",
        "\u200f@codex review",
    ],
)
def test_this_is_no_command(markdown: str) -> None:
    assert _commands(markdown) == []


@pytest.mark.parametrize(
    "line",
    [
        "＠codex review",  # full-width @
        "﹫codex review",  # small @
        "@сodex review",  # Cyrillic с
        "@cоdex review",  # Cyrillic о
        "@ⅽodex review",  # Roman numeral
        "@ｃｏｄｅｘ review",
        "@códex review",
        "@codéx review",
        "@code\u0301x review",
        "@codex\u0301 review",
        "@co\u200bdex review",
        "@co\u00addex review",
        "@co\u2060dex review",
        "@codex\u200b review",
        "@codex\u200breview",
        "@codex\u200d review",
        "@\u200bcodex review",
        "\u200b@codex review",
        "\ufeff@codex review",
        "\u202e@codex review",
        "\u00a0@codex review",
        "\u3000@codex review",
        "\x0b@codex review",
        "\x00@codex review",
        "\U000e0040@codex review",
        "@co<!-- -->dex review",
        "hello\u2028@codex review",
        "hello\x0b@codex review",
        "hello\x85@codex review",
    ],
)
@pytest.mark.parametrize("around", ["{}", "# {}", "- {}", "one\n{}", "{}\ntwo", "- one\n  {}"])
def test_a_look_alike_is_no_command(line: str, around: str) -> None:
    assert _commands(around.format(line)) == []


def test_a_letter_that_only_folds_to_ascii_is_another_letter() -> None:
    assert parse_commands("@bo\u212a review", ["@bok"]) == ()  # Kelvin sign
    assert parse_commands("@bo\u017f review", ["@bos"]) == ()  # long s


HIDDEN = [
    "> @codex review",
    ">@codex review",
    "> quoted\n@codex review",  # a lazy line is quoted, as GitHub shows it
    "> > deep\n@codex review",
    "> - a list\n@codex review",
    "- > quoted in a list\n@codex review",
    "> quoted\n> \n> @codex review",
    "    @codex review",
    "\t@codex review",
    "text\n\n    @codex review",
    "text\n    @codex review",  # a paragraph goes on, but the line is indented by four
    "text\n\t@codex review",
    "-     @codex review",
    "```\n@codex review\n```",
    "~~~text\n@codex review\n~~~",
    "```\n@codex review",  # never closed
    "- ```\n  @codex review\n  ```",
    "`@codex review`",
    "`code that\n@codex review\ngoes on`",
    "``a ` b\n@codex review\n``",
    "|@codex review|b|\n|-|-|\n|@codex review|d|",
    "a|b\n-|-\n@codex review|d",
    "a|b\n-|-\nc|d\n@codex review",  # still a row
    "<div>\n@codex review\n</div>",
    "<details>\n@codex review\n</details>",
    "<pre>\n\n@codex review\n</pre>",
    "<!-- @codex review -->",
    "<!--\n@codex review\n-->",
    "<!--\n\n@codex review\n\n-->",
    "<!-- never closed\n\n@codex review",
    "text <!-- in line\n@codex review -->",
    'text <span title="\n@codex review\n">x</span>',
    "<?php\n@codex review\n?>",
    "[ref]: <https://example.test>\n  '\n@codex review\n'",
    "On Mon, 5 May 2025 at 10:00, Bob <b@example.test> wrote:\n@codex review",
    "On Mon, 5 May 2025 at 10:00, Bob\n<b@example.test>\nwrote:\n\n@codex review",
    "Thanks.\n\n-- \n@codex review",
    "-----Original Message-----\nFrom: Bob\n\n@codex review",
    ">" * 30 + " @codex review",
    "".join("  " * depth + "- x\n" for depth in range(30)) + "  " * 30 + "@codex review",
]


@pytest.mark.parametrize("markdown", HIDDEN)
def test_what_is_quoted_shown_or_hidden_is_no_command(markdown: str) -> None:
    assert _commands(markdown) == []


def test_several_commands_come_in_order() -> None:
    markdown = "@codex review docs\nand\n- @codex help\n\n> @codex cancel\n\n# @codex review full"
    assert parse_commands(markdown, MENTIONS) == (
        CommandLine(line="@codex review docs", command=_areas(Area.DOCS)),
        CommandLine(line="@codex help", command=HELP),
        CommandLine(line="@codex review full", command=ReviewCommand(full=True)),
    )


@pytest.mark.parametrize(
    "line", ["@codex review docs", "@codex", "@codex reveiw", "@codex: review for `x`, y."]
)
def test_a_stored_line_says_the_same_again(line: str) -> None:
    (given,) = parse_commands(f"hello\n  {line} \nbye", MENTIONS)
    assert parse_line(given.line, MENTIONS) == given.command


def test_a_stored_line_to_a_name_that_we_no_longer_have_is_unknown() -> None:
    assert parse_line("@old review", MENTIONS) == UnknownCommand(text="@old review")


def test_a_comment_longer_than_github_allows_is_not_read() -> None:
    assert _commands("@codex review\n" + "x" * 70_000) == []
    assert _commands("@codex review\n" + "\n" * 20_000) == []


def test_we_answer_to_the_configured_names_and_our_own() -> None:
    assert addresses(["@codex", "/codex", "bot"], "my-app") == (
        "@codex",
        "/codex",
        "@bot",
        "@my-app",
    )
    assert addresses(["@codex"], "codex") == ("@codex",)
    assert addresses(["@codex"], None) == ("@codex",)


def test_a_configured_name_may_be_a_slash_command() -> None:
    assert parse_commands("hi\n/codex review", ["/codex"]) == (
        CommandLine(line="/codex review", command=REVIEW),
    )


def test_without_a_name_there_are_no_commands() -> None:
    assert parse_commands("@codex review", []) == ()
