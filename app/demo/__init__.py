"""The stand-in for GitHub, and the story that `codex-review demo` plays against it."""
