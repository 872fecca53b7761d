"""Changes the settings of a run, and calls leads of a run again as a new one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, StrictBool, StrictInt

from dialer.messages import MAX_NAME_CHARACTERS, CommandType, RunChanged
from dialer.model import RunStatus
from dialer.policy.run_settings import Budget, RunRules, loosens
from sql.runs.changes import NoSuchLeadsError, RunChanges
from sql.runs.new_run import IdReusedError, NewRun, Request
from web.operations.business import own_business
from web.operations.idempotency import request_id
from web.operations.run_settings import (
    Moment,
    RunSettings,
    allowed_to_loosen,
    business_rules,
    check_concurrency,
    check_schedule,
    check_settings,
    check_texts,
    kept,
)
from web.operations.runs import requested_run, run_not_found
from web.server import errors, keys
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
