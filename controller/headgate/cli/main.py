"""`headgate`: the entry point. Every error ends here, as a sentence with a remedy and an exit code, never a traceback.

Starting is fast because a verb's file imports next to nothing: clients, models and Kafka come with the verb that runs.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import typer

from headgate.cli.commands import (
    activity,
    apply,
    cancel,
    cancel_drain,
    context,
    create,
    dead_letters,
    delete,
    demo,
    describe,
    get,
    history,
    init,
    pause,
    projector,
    recover,
    resume,
    retry,
    schema,
    start,
    verify,
    version,
    watch,
    worker,
    workers,
)
from headgate.cli.commands import completion as completions
from headgate.cli.exits import ENVIRONMENT, INTERRUPTED, OK, REFUSED, RUNTIME, exit_code_of
from headgate.cli.lazily import LazyGroup
from headgate.cli.options import Where, verb
from headgate.cli.output import ReaderGone, note
from headgate.cli.wording import safe
from headgate_events.errors import HeadgateError

PROGRAM: Final = "headgate"
DEBUG_VARIABLE: Final = "HEADGATE_DEBUG"
SPEAKING_OF_A_PLACE: Final = frozenset({"request.invalid_definition", "request.unreadable_document"})
"""Errors that begin with file and line, as compilers write them, so that an editor can jump there."""

STREAMS: Final = "Streams"
LOOKING: Final = "Looking"
RUNNING: Final = "Running Headgate"
SETTING_UP: Final = "Setting up"

app = typer.Typer(
    cls=LazyGroup,
    name=PROGRAM,
    help="Start, pause, resume and watch data streams on Kafka.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.callback()
@verb
def before_the_verb(ctx: typer.Context, where: Where) -> None:
    """Start, pause, resume and watch data streams on Kafka."""
    ctx.obj = {
        "bootstrap_servers": where.bootstrap_servers,
        "namespace": where.namespace,
        "context": where.context,
    }


for _panel, _verbs in (
    (
        STREAMS,
        (
            create.create,
            apply.apply,
            start.start,
            pause.pause,
            resume.resume,
            recover.recover,
            delete.delete,
            cancel_drain.cancel_drain,
            retry.retry,
            cancel.cancel,
        ),
    ),
    (LOOKING, (get.get, describe.describe, history.history, watch.watch, activity.activity, verify.verify)),
    (RUNNING, (init.init, projector.projector, worker.worker, demo.demo)),
    (SETTING_UP, (completions.completion, version.version)),
):
    for _verb in _verbs:
        app.command(rich_help_panel=_panel)(verb(_verb))
app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel=LOOKING)
app.add_typer(workers.app, name="workers", rich_help_panel=LOOKING)
app.add_typer(context.app, name="context", rich_help_panel=SETTING_UP)
app.add_typer(schema.app, name="schema", rich_help_panel=SETTING_UP)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (None for the process's own) and return its exit code. Prints errors, raises none."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except (ReaderGone, BrokenPipeError):
        # Python would complain once more when it flushes at its exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except HeadgateError as error:
        if _debug():
            raise
        if error.code in SPEAKING_OF_A_PLACE:
            note(str(error))
        else:
            _complain(error.message, error.hint, error.code)
        return exit_code_of(error)
    except Exception as error:
        if _is_usage(error):
            return _usage(error)
        if _debug():
            raise
        return _unexpected(error)
    return code


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets a substitute, not an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    raise SystemExit(run())


def _run(arguments: Sequence[str] | None) -> int:
    if completions.COMPLETE_VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
    result: Any = app(
        None if arguments is None else list(arguments),
        prog_name=PROGRAM,
        complete_var=completions.COMPLETE_VARIABLE,
        standalone_mode=False,
    )
    return result if isinstance(result, int) else OK


def _debug() -> bool:
    return bool(os.environ.get(DEBUG_VARIABLE))


def _is_usage(error: Exception) -> bool:
    """Whether the parser of the command line raised it; its classes moved between versions of typer."""
    return callable(getattr(error, "format_message", None)) and hasattr(error, "exit_code")


def _usage(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        return REFUSED
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else PROGRAM
    message = error.format_message().strip()
    _complain(message if message.endswith((".", "?", "!")) else f"{message}.", f"See `{path} --help`.", None)
    return REFUSED


def _unexpected(error: Exception) -> int:
    if isinstance(error, ModuleNotFoundError):
        _complain(
            f"A part of Headgate is not installed here: {error.name}.",
            "Install headgate with the extra that this command needs, such as headgate[dev].",
            "environment.not_installed",
        )
        return ENVIRONMENT
    if isinstance(error, OSError) and error.filename is not None:
        _complain(f"{error.filename}: {error.strerror or error}.", "Check the path and its rights.", "environment.file")
        return ENVIRONMENT
    _complain(
        f"That should not have happened: {type(error).__name__}: {safe(error, 300)}.",
        f"Run it again with {DEBUG_VARIABLE}=1 for the details, and please report them.",
        "internal",
    )
    return RUNTIME


def _complain(message: str, hint: str | None, code: str | None) -> None:
    note(f"{PROGRAM}: {message}" + (f" {hint}" if hint else "") + (f" ({code})" if code else ""))


if __name__ == "__main__":
    main()
