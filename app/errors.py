"""The error family, named by what the catcher does.

AppError
├─ DeliveryError      answered with its `status`, never enqueued
│  ├─ BadSignature    401
│  ├─ BadPayload      400
│  └─ TooLarge        413
├─ Retryable          the job waits and runs again
│  ├─ RateLimited     ... not before `reset_at`
│  ├─ Unavailable     ... the other side did not answer properly
│  └─ Overtaken       ... at once: the head moved while we reviewed it
├─ Permanent          the job ends; the check run and a comment say why
│  ├─ PullRequestGone
│  ├─ Locked          nobody may comment on this pull request
│  └─ Forbidden       a permission or the installation is missing
├─ Unwanted           somebody stopped the job: clear up, and say so
├─ ModelError         one question stays without an answer, and why
│  ├─ ModelRefused    this chunk: the model or a filter declined
│  ├─ ModelUnavailable this chunk: no usable answer in time
│  ├─ PromptTooLong   this chunk: larger than the model's context; a smaller one may fit
│  │  └─ AnswerCut    ... its answer was, also when asked again with more room
│  ├─ ModelDenied     every chunk: key or model name is wrong
│  ├─ OutOfCredit     every chunk: no money
│  └─ OverBudget      every chunk: the operator or the repository allows no more
├─ AnswerInvalid      a model answer that breaks the schema
└─ Unusable           what a person gave us cannot be used (exit status 2)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the values of `review` raise these errors
    from app.review.answer import Usage


class AppError(Exception):
    """Anything this program raises on purpose. Its text is fit for users."""


class DeliveryError(AppError):
    """A delivery that is refused at the door."""

    status = 400


class BadSignature(DeliveryError):
    status = 401


class BadPayload(DeliveryError):
    status = 400


class TooLarge(DeliveryError):
    status = 413


class Retryable(AppError):
    """Worth another try, not before `reset_at` (epoch seconds) where that is known."""

    def __init__(self, message: str, *, reset_at: float | None = None) -> None:
        super().__init__(message)
        self.reset_at = reset_at


class RateLimited(Retryable):
    pass


class Unavailable(Retryable):
    pass


class Overtaken(Retryable):
    pass


class Permanent(AppError):
    """Another try would end the same way. `remedy` says what a person can do."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class PullRequestGone(Permanent):
    pass


class Locked(Permanent):
    pass


class Forbidden(Permanent):
    pass


class Unwanted(AppError):
    """Somebody stopped what is going on; its result is wanted no more."""


class ModelError(AppError):
    """The model gave no usable answer to one question; `usage` is what trying has cost."""

    def __init__(self, message: str, *, usage: "Usage | None" = None) -> None:
        super().__init__(message)
        self.usage = usage


class ModelRefused(ModelError):
    pass


class ModelUnavailable(ModelError):
    pass


class PromptTooLong(ModelError):
    pass


class AnswerCut(PromptTooLong):
    """`text` is as much of the answer as came, perhaps nothing."""

    def __init__(self, message: str, *, usage: "Usage | None" = None, text: str = "") -> None:
        super().__init__(message, usage=usage)
        self.text = text


class ModelDenied(ModelError):
    pass


class OutOfCredit(ModelError):
    pass


class OverBudget(ModelError):
    pass


class AnswerInvalid(AppError):
    pass


class Unusable(AppError):
    """Input or settings that cannot be used; the text lists what to do."""
