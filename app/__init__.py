"""codex-review: few, proven review comments on pull requests, from the model you choose.

Read `pipeline.py` first: it tells one review from job to verdict in the order it happens. Then
`review/anchor.py`: why a comment can be trusted to stand where it stands.

The way of one delivery, each arrow one function:

    POST /webhook            web/webhook.py          limit, verify, take, 202
    what GitHub kept         recovery.py             ... or taken from GitHub's own list
      delivery → jobs        intake.py               judge, then take: the same for both
      bytes → event          github/payloads.py    ° parse_event
      event → decision       dispatch.py           ° decide (commands: review/command.py °)
      decision → job         jobs/sqlite.py          submit: delivery and job in one transaction
    job → its end            jobs/worker.py          claim, keep the lease, retry, report
      work → handler         handlers.py             handle; report what failed
    lane `respond`           respond.py              permission, 👀, an answer; or the review's job
                             estimating.py           what a review would ask
                             talking.py              why, and what is dismissed (github/talks.py)
                             rerun.py, merge_queue.py  a button was pressed, a queue asks
    lane `look`              automatic.py            what happened by itself: a review, or why not
                             parking.py              what waits for credit
                             talking.py              a verdict without what was dismissed
    lane `ask`               talking.py              a question about the code (review/talk.py °)
    lane `review`            pipeline.py             run_review
      pull request → change  github/changes.py       open: both ends pinned, diff parsed
                             github/threads.py       what stands on the diff; closes what is fixed
                             github/policies.py      configuration in layers
                             github/base_files.py    AGENTS.md and .gitattributes of the base
      change → plan          review/coverage.py    ° plan_review: chunks by focus area
      chunk → candidates     asking.py, analysing.py a model and analysers, side by side
      candidates → findings  review/anchor.py      ° anchor, then merge °, suppressed °
      findings → news        review/history.py     ° unseen: what is new, still open, fixed
                             following.py            where earlier ones stand now, what they close
                             review/threads.py     ° what others said, what people dislike
                             review/feedback.py    ° what became of findings, kinds nobody wants
      findings → judged      judging.py              a sceptical second look (review/judge.py °)
      judged → kept          review/rank.py        ° rank: what is worth saying
      suggestions → proven   suggesting.py           check_suggestions (review/suggestion.py °)
      findings → receipt     review/receipt.py     ° conclude: the verdict
      receipt → review       review/render.py      ° compose: every sentence we publish
      review → GitHub        github/publisher.py     publish, once; github/checks.py

What other programs ask, and operators: `web/openapi.py` has one table that routes and describes;
`web/api.py` takes wishes and tells receipts; `web/metrics.py` listens to the log. What people look
at: `web/pages.py` shows state and reviews (`store/runs.py`), these behind `web/password.py`.

The same review from a terminal: `cli.py`, which has a change from `terminal.py` (a diff, a working
tree) or from GitHub, `single_runs.py`, which builds the run, and `alone.py` for what a server would
remember and report. Over cases with known bugs: `evaluating.py`.

Before all that `web/setup.py` creates the App (by `github/manifest.py` °, from `app.yml`), and
`credentials.py` keeps what GitHub gives for it. `doctor.py` says what is broken.

Rooms (° = pure: no network, clock, settings or log), and what each alone knows:

    review/      ° what a review is
    github/        GitHub's wire format
    llm/           how model servers are spoken to
    analysers/     static analysers, one file each, one table
    sandbox/       how to start a program where it can do no harm
    store/         what we remember, in SQL
    jobs/          how work survives a restart
    web/           the HTTP that we serve
    demo/          a stand-in for GitHub, and the story that `codex-review demo` plays

Imports point inwards: everyone may import `review/`, `errors` and `ports`; adapters never import
each other and are built, of `parts.py`, by `bootstrap.py` for the server and by `single_runs.py`
for the terminal (`terminal.py` by `cli.py`, and `doctor.py` tries them); `demo/` knows neither
`review/` nor `github/`. `tests/test_architecture.py` holds these arrows.

Words: a **delivery** carries an **event**; a comment may hold a **command**; a **job** is stored
work; a **run** (`run_id`) is one review; a **focus area** is what to look for; a **chunk** is what
one **prompt** shows; an **answer** holds **candidates**, unproven; a **finding** is proven, with a
**priority** P0–P3 and a **fingerprint**; **coverage** says what was shown for which area; the
**receipt** is the **verdict** in JSON.
"""
