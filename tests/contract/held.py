"""Which test holds which promise of docs/contract.md: for each table a name and its test, or one for all of its rows.

A row that is not built has no test; `tests/contract/served.py` looks whether it is served all the same.
"""

from __future__ import annotations

ANSWERS = "tests/contract/test_promised_answers.py::"
NAMES = "tests/contract/test_promised_names.py::"
OPENAPI = "tests/contract/test_openapi.py::"
ASYNCAPI = "tests/contract/test_asyncapi.py::"
INTEGRATION = "tests/integration/"
MIGRATE = "tests/migration/test_migrate.py::"
ADOPTION = "tests/migration/test_adoption.py::"
OLD_RUNS = "tests/migration/test_old_runs.py::"
CONFIG = "tests/unit/test_config.py::"
ERASURE = INTEGRATION + "test_erasure.py::"
START = INTEGRATION + "test_start.py::"
DOCTOR = INTEGRATION + "test_doctor.py::"
ACCOUNTS = INTEGRATION + "test_cli_accounts.py::"
RUNS = INTEGRATION + "test_web_runs.py::"
CANCEL = INTEGRATION + "test_web_cancel.py::"
JOBS = INTEGRATION + "test_web_jobs.py::"
SETTINGS = INTEGRATION + "test_web_settings.py::"
MORE_LEADS = INTEGRATION + "test_web_more_leads.py::"
BUSINESS = INTEGRATION + "test_web_business.py::"
LOADING = INTEGRATION + "test_web_loading.py::"
LISTS = INTEGRATION + "test_web_lists.py::"
LIVE = INTEGRATION + "test_web_live.py::"
HEALTH = INTEGRATION + "test_web_health.py::"
CHECK = INTEGRATION + "test_account_check.py::"
HEARS_US = INTEGRATION + "test_simulator_hears_us.py::"
SCRIPTS = INTEGRATION + "test_web_scripts.py::"
CALLBACKS = INTEGRATION + "test_web_callbacks.py::"
COMMANDS = INTEGRATION + "test_commands.py::"
RECORD = INTEGRATION + "test_record.py::"
CLAIM = INTEGRATION + "test_claim.py::"
DUTIES = INTEGRATION + "test_worker_duties.py::"
REPORTS = INTEGRATION + "test_run_reports.py::"
BULK = INTEGRATION + "test_bulk_operations.py::"
DIALLING = INTEGRATION + "test_stop_dialling.py::"
WEBHOOKS = INTEGRATION + "test_web_webhooks.py::"
PROVIDER = INTEGRATION + "test_twilio_provider.py::"
CONFORMANCE = "tests/contract/test_twilio_conformance.py::TestTwilioKeepsThem::"
DO_NOT_CALL = INTEGRATION + "test_do_not_call.py::"
DNC = INTEGRATION + "test_cli_do_not_call.py::"
USERS = INTEGRATION + "test_web_users.py::"
AUDIT = INTEGRATION + "test_web_audit.py::"
ALL = "*"
RUN, JOB = "/api/outbound/runs/{run_id}", "/api/outbound/runs/{run_id}/jobs/{job_id}"
CALLS = "/2010-04-01/Accounts/{sid}/Calls"

# (section, heading of the first column): {name, or ALL: node id}
HELD: dict[tuple[int, str], dict[str, str]] = {
    (1, "command"): {
        "make demo": "tests/demo/test_demo.py::test_every_lead_of_both_businesses_is_dialled_and_accounted_for",
        "make test": NAMES + "test_every_target_of_make_is_there",
        "make lint types": NAMES + "test_every_target_of_make_is_there",
        "make bench": NAMES + "test_every_target_of_make_is_there",
        "python -m sql migrate": MIGRATE + "test_from_many_processes_at_once",
        "python -m sql migrate --grant ROLE": INTEGRATION + "test_least_privilege.py::test_migrate_grants_it_and_later_tables_too",
        "python -m sql migrate --dry-run": ADOPTION + "test_the_commands_say_what_they_would_do_and_do_it",
        "python -m sql status": NAMES + "test_every_command_takes_what_the_page_says",
        "python -m sql check": MIGRATE + "test_check_says_by_its_exit_code",
        "python -m web": HEALTH + "test_the_process_starts_serves_and_stops_at_once_with_a_listener",
        "python -m actors": "tests/chaos/test_main_job.py::test_the_only_worker_is_killed_and_another_goes_on",
        "python -m dialer up": "tests/demo/test_up.py::test_servers_of_ones_own_several_web_processes_on_one_port_and_several_workers",
        "python -m dialer demo": "tests/demo/test_demo.py::test_it_stays_up_until_ctrl_c_and_leaves_nothing",
        "python -m telephony.simulator --port N": INTEGRATION
        + "test_simulator_process.py::test_it_serves_until_it_is_told_to_stop_and_keeps_its_call_log",
        # The commands of `dialer` that print: their options and, below, their fields.
        ALL: NAMES + "test_every_command_takes_what_the_page_says",
    },
    (1, "printed with --json by"): {ALL: ANSWERS + "test_every_command_prints_its_fields"},
    (1, "role"): {ALL: INTEGRATION + "test_web_auth.py::test_a_viewer_can_read_but_not_change"},
    (1, "exit code"): {
        "0": ACCOUNTS + "test_without_json_a_person_reads_a_line",
        "1": START + "test_a_database_that_refuses_is_one_line",
        "2": START + "test_every_wrong_setting_is_said_at_once",
        "130": "tests/demo/test_demo.py::test_another_file_is_dialled_for_both_businesses_and_ctrl_c_ends_it_early",
    },
    (1, "process"): {ALL: NAMES + "test_the_procfile_is_that_of_the_page"},
    (2, "variable"): {ALL: NAMES + "test_every_setting_has_its_default"},
    (3, "outbound_call_runs.status"): {ALL: NAMES + "test_the_statuses_of_a_run_are_those_of_the_table"},
    (3, "outbound_call_jobs.status"): {ALL: NAMES + "test_the_statuses_of_a_job_are_those_of_the_table"},
    (3, "promise"): {
        "identity": RECORD + "test_where_an_outcome_is_counted",
        "unique_run_lead": ANSWERS + "test_a_lead_is_in_a_run_once_by_a_constraint_of_that_name",
        "locked_by_worker": ANSWERS + "test_a_run_that_is_driven_says_by_whom_and_since_when",
        "lock_ts": ANSWERS + "test_a_run_that_is_driven_says_by_whom_and_since_when",
        "cursor_position": CLAIM + "test_every_lead_of_every_zone_is_taken_once",
        "started_at": CLAIM + "test_a_foreign_row_that_says_running_is_not_dialled",
        "last_error": INTEGRATION + "test_worker.py::test_the_provider_refuses_the_account_and_no_lead_is_burned",
        "last_error_cause": INTEGRATION + "test_explanations.py::test_a_refused_account_is_told_wherever_its_run_is_shown",
        "can_cancel": RUNS + "test_start_pause_resume",
        "job rows": COMMANDS + "test_a_large_cancelled_run_is_rewritten_in_chunks",
    },
    (4, "promise"): {
        "Authorization: Bearer TOKEN": INTEGRATION + "test_web_auth.py::test_a_request_without_valid_credentials_gets_401",
        "404": RUNS + "test_another_business_s_rows_are_answered_like_missing_ones",
        '{"error", "code", "details"}': RUNS + "test_errors_are_translated",
        "times": OPENAPI + "test_what_is_answered_is_what_is_described",
        "Idempotency-Key": RUNS + "test_a_command_with_a_key_takes_effect_once",
        "sealed answers": USERS + "test_a_repeated_request_gets_the_same_secret_which_is_stored_sealed",
    },
    (4, "request"): {
        "GET /api/openapi.yaml": HEALTH + "test_the_api_is_described",
        "GET /api/docs": HEALTH + "test_the_api_is_described",
        "POST /api/outbound/runs": LOADING + "test_a_run_keeps_the_good_rows_and_reports_the_bad_ones",
        "GET /api/outbound/runs": RUNS + "test_runs_are_listed_newest_first_in_pages",
        f"GET {RUN}": RUNS + "test_a_run_has_the_fields_of_the_contract",
        f"POST {RUN}/start": RUNS + "test_start_pause_resume",
        f"POST {RUN}/pause": RUNS + "test_start_pause_resume",
        f"POST {RUN}/resume": RUNS + "test_start_pause_resume",
        "POST /api/outbound_calls/jobs/{job_id}/cancel": CANCEL + "test_cancel_in_the_middle",
        "POST /api/outbound/stop-queue": CANCEL + "test_stop_ends_the_run_at_once_and_records_what_is_on_the_line",
        f"GET {RUN}/jobs": JOBS + "test_jobs_are_filtered_and_paged",
        f"GET {JOB}": JOBS + "test_a_job_shows_its_attempts_and_their_timeline",
        f"POST {JOB}/cancel": JOBS + "test_one_lead_is_cancelled",
        f"POST {JOB}/resolve": JOBS + "test_a_person_resolves_an_unknown_attempt",
        f"GET {RUN}/events": LIVE + "test_resuming_has_no_gap_and_no_repeat",
        f"GET {RUN}/export.csv": JOBS + "test_the_export_has_every_lead_and_no_formula",
        f"GET {RUN}/export.csv?for=people": LISTS + "test_people_get_words_local_times_and_their_own_columns_without_formulas",
        f"GET {RUN}/export.xlsx": LISTS + "test_people_get_words_local_times_and_their_own_columns_without_formulas",
        f"GET {RUN}/load-report": LISTS + "test_the_load_report_stays_with_the_run",
        f"GET {RUN}/load-report.csv": LISTS + "test_the_load_report_stays_with_the_run",
        "GET /healthz": OPENAPI + "test_what_is_answered_is_what_is_described",
        "GET /readyz": HEALTH + "test_without_redis_the_process_is_degraded_and_serves",
        "GET /metrics": HEALTH + "test_requests_are_counted_by_route_without_ids",
    },
    (4, "answer of"): {ALL: ANSWERS + "test_every_answer_has_its_fields"},
    (4, "field of a run to load"): {ALL: ANSWERS + "test_every_field_of_a_run_is_taken"},
    (5, "stream"): {ALL: ASYNCAPI + "test_the_streams_and_the_words_are_ours"},
    (5, "command"): {
        "job.cancel": COMMANDS + "test_one_lead_on_the_line_is_cancelled_only_by_hanging_up",
        ALL: COMMANDS + "test_what_a_command_does_in_a_state",
    },
    (5, "field of a command"): {ALL: NAMES + "test_the_fields_of_commands_and_events_are_described"},
    (5, "promise"): {
        "order": COMMANDS + "test_from_the_stream_in_its_order_and_once",
        "once": COMMANDS + "test_a_repeat_after_it_was_decided_is_answered_again",
        "rejected": COMMANDS + "test_malformed_and_forbidden_ones_block_nothing",
    },
    (5, "field of an event"): {ALL: NAMES + "test_the_fields_of_commands_and_events_are_described"},
    (5, "event"): {
        **dict.fromkeys(
            ("run.progress", "call.progress", "worker.started", "worker.stopped"), ASYNCAPI + "test_what_a_worker_tells_is_described"
        ),
        ALL: ASYNCAPI + "test_what_postgresql_tells_is_described_and_all_of_it_happens",
    },
    (6, "request"): {
        f"POST {CALLS}.json": PROVIDER + "test_the_request_is_what_twilio_asks_for",
        f"GET {CALLS}.json": INTEGRATION
        + "test_twilio_provider_listings.py::test_every_page_of_a_listing_is_read_back_to_the_time_asked_for",
        f"GET {CALLS}/{{CallSid}}.json": CONFORMANCE + "test_a_call_can_be_asked_for_until_its_end",
        "GET /2010-04-01/Accounts/{sid}.json": CHECK + "test_a_definite_no_is_named",
        "GET /2010-04-01/Accounts/{sid}/IncomingPhoneNumbers.json": CHECK + "test_a_definite_no_is_named",
        "GET /2010-04-01/Accounts/{sid}/OutgoingCallerIds.json": CHECK + "test_a_definite_no_is_named",
        "GET /v1/DialingPermissions": CHECK + "test_a_country_that_the_account_may_not_call_is_named",
        f"POST {CALLS}/{{CallSid}}.json": CONFORMANCE + "test_a_ringing_call_can_be_hung_up",
    },
    (6, "what Twilio asks of us"): {
        "POST /callbacks/{reference}": CALLBACKS + "test_a_call_from_ring_to_end",
        "POST /twiml/{reference}": CALLBACKS + "test_an_answered_call_is_greeted",
        "POST /twiml/{reference}/pressed": SCRIPTS + "test_a_key_puts_the_number_on_the_do_not_call_list",
        "POST /twiml/{reference}/dialled": SCRIPTS + "test_what_people_hear_when_no_agent_picks_up",
        **dict.fromkeys(
            ("POST /twiml/test/{reference}", "POST /twiml/test/{reference}/pressed", "POST /callbacks/test/{reference}"),
            HEARS_US + "test_a_test_call_lets_a_phone_hear_what_a_lead_would",
        ),
        "POST /twiml/test/{reference}/dialled": HEARS_US + "test_a_test_call_to_an_agent_who_does_not_pick_up",
        **dict.fromkeys(("POST /twiml/inbound", "POST /twiml/inbound/dialled"), SCRIPTS + "test_what_those_hear_who_call_back"),
        **dict.fromkeys(
            ("POST /callbacks/{reference}/machine", "POST /twiml/{reference}/machine"),
            HEARS_US + "test_a_machine_that_is_found_while_the_script_is_said_gets_its_own",
        ),
        "POST /callbacks/{reference}/recording": SCRIPTS + "test_a_recording_is_kept_with_its_call",
        "X-Twilio-Signature": CALLBACKS + "test_unsigned_and_wrongly_signed_callbacks_change_nothing",
    },
    (7, "field of a run to load"): {
        "record announced": SCRIPTS + "test_preflight_says_that_the_script_must_announce_a_recording",
        "mapping": INTEGRATION + "test_web_tables.py::test_a_workbook_is_loaded_mapped_and_added_to",
        ALL: ANSWERS + "test_every_field_of_a_run_is_taken",
    },
    (7, "answer of"): {ALL: ANSWERS + "test_every_answer_has_its_fields"},
    (7, "request"): {
        "POST /api/outbound/runs/preflight": INTEGRATION + "test_preflight_outcome.py::test_what_it_says_happens",
        "POST /api/outbound/runs/test-call": HEARS_US + "test_a_test_call_lets_a_phone_hear_what_a_lead_would",
        "POST /api/outbound/runs/preview": SCRIPTS + "test_a_preview_is_what_that_lead_would_hear",
        f"GET {RUN}": REPORTS + "test_closed_and_waiting_leads_say_until_when",
        f"PATCH {RUN}": SETTINGS + "test_a_run_is_changed",
        f"POST {RUN}/leads": MORE_LEADS + "test_leads_are_added_behind_the_others",
        f"POST {RUN}/again": MORE_LEADS + "test_leads_are_called_again_by_their_outcomes",
        "GET /api/business": BUSINESS + "test_a_business_is_shown",
        "PATCH /api/business": BUSINESS + "test_a_business_is_changed_and_audited",
        "GET /api/outbound/do-not-call": DO_NOT_CALL + "test_pages_in_both_directions_and_a_search",
        "POST /api/outbound/do-not-call": DO_NOT_CALL + "test_claims_that_run_while_numbers_are_added_take_none_after_the_answer",
        "DELETE /api/outbound/do-not-call": DO_NOT_CALL + "test_numbers_are_removed_unless_a_register_has_them",
        "GET /api/outbound/do-not-call.csv": DO_NOT_CALL + "test_the_export_is_read_back_and_has_no_formula",
        "GET /api/outbound/events": INTEGRATION + "test_web_streams.py::test_the_stream_of_a_business_resumes_without_gap_or_repeat",
        "GET /api/users": USERS + "test_users_are_listed_in_pages_both_ways",
        "POST /api/users": USERS + "test_a_user_is_added_with_a_link_that_works_once",
        "PATCH /api/users/{user_id}": USERS + "test_a_disabled_user_is_out_at_once",
        "DELETE /api/users/{user_id}": USERS + "test_the_last_admin_stays",
        "POST /api/users/{user_id}/reset": USERS + "test_a_user_is_added_with_a_link_that_works_once",
        "POST /api/users/me/password": USERS + "test_ones_own_password_is_changed_and_the_other_sessions_end",
        "GET /api/sessions": USERS + "test_everybody_sees_own_sessions_and_an_admin_all",
        "DELETE /api/sessions/{session_id}": USERS + "test_everybody_sees_own_sessions_and_an_admin_all",
        "GET /api/tokens": USERS + "test_a_token_is_shown_once_named_and_revoked",
        "POST /api/tokens": USERS + "test_a_token_is_shown_once_named_and_revoked",
        "DELETE /api/tokens/{token_id}": USERS + "test_a_token_is_shown_once_named_and_revoked",
        "GET /api/audit": AUDIT + "test_the_log_is_filtered_and_paged",
        "POST /api/stop-dialling": DIALLING + "test_a_stopped_business_keeps_its_runs_and_takes_no_lead",
        "POST /api/resume-dialling": DIALLING + "test_a_stopped_business_keeps_its_runs_and_takes_no_lead",
        "GET /api/outbound/summary": REPORTS + "test_the_summary_of_a_business",
        "GET /api/webhooks": WEBHOOKS + "test_events_of_a_business_arrive_signed_and_in_order",
        "POST /api/webhooks": WEBHOOKS + "test_events_of_a_business_arrive_signed_and_in_order",
        "DELETE /api/webhooks/{webhook_id}": WEBHOOKS + "test_what_may_be_added_and_by_whom",
        "GET /api/webhooks/{webhook_id}/deliveries": WEBHOOKS + "test_deliveries_are_listed_and_sent_again",
        "POST /api/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver": WEBHOOKS + "test_deliveries_are_listed_and_sent_again",
        f"GET {RUN}/jobs?search=": REPORTS + "test_leads_are_found_by_name_number_and_id",
        f"GET {RUN}/jobs?outcome=": REPORTS + "test_outcomes_are_a_list_of_known_words",
        f"POST {RUN}/jobs/cancel": BULK + "test_queued_leads_are_cancelled_in_chunks",
        f"POST {RUN}/jobs/again": BULK + "test_leads_that_have_ended_are_called_again",
        f"POST {RUN}/jobs/do-not-call": BULK + "test_numbers_are_never_called_again",
        "GET /api/operations/{operation_id}": BULK + "test_a_worker_carries_them_out_for_all_businesses_and_past_a_lock",
    },
    (7, "promise"): {
        "lawful demo": "tests/demo/test_demo.py::test_every_lead_of_both_businesses_is_dialled_and_accounted_for",
        "retention_days": INTEGRATION + "test_upkeep.py::test_a_run_is_deleted_after_its_retention_time_and_not_while_its_calls_count",
    },
    (7, "command"): {
        "python -m dialer business create [--calling-hours default|always] [--min-gap-hours H] [--max-per-day N|none]": ACCOUNTS
        + "test_a_new_business_is_lawful_by_default",
        "python -m dialer user create --installation": USERS + "test_a_user_of_the_installation_sees_nothing_of_a_business",
        "python -m dialer stop-all [--reason TEXT] [--by NAME] [--json]": DIALLING + "test_the_installation_is_stopped_at_the_terminal",
        "python -m dialer resume-all [--reason TEXT] [--by NAME] [--json]": DIALLING + "test_the_installation_is_stopped_at_the_terminal",
    },
    (7, "reason of a skipped lead"): {ALL: REPORTS + "test_every_reason_to_skip_a_lead_is_shown"},
    (7, "rule of why"): {ALL: REPORTS + "test_every_refusal_is_told_in_both_languages"},
    (7, "reason of waits_for"): {
        "account": DUTIES + "test_a_business_whose_account_cannot_be_opened",
        "provider_away": INTEGRATION + "test_web_waiting.py::test_a_run_that_waits_for_the_provider_says_since_when",
        "other_run": REPORTS + "test_the_lines_are_in_use_by_this_run_or_by_another",
        "scheduled": REPORTS + "test_a_scheduled_run_says_when_and_one_that_nobody_starts_that_there_is_no_worker",
        **dict.fromkeys(("closed", "retry", "recently_called"), REPORTS + "test_closed_and_waiting_leads_say_until_when"),
        "register_too_old": REPORTS + "test_a_register_that_is_missing_or_old",
        "paced": REPORTS + "test_a_run_that_waits_for_the_pace_of_its_account",
        "budget": REPORTS + "test_a_budget_that_is_used_up_comes_before_the_pause_it_made",
        "stopped": DIALLING + "test_a_stopped_business_keeps_its_runs_and_takes_no_lead",
        ALL: INTEGRATION + "test_web_waiting.py::test_every_reason_to_wait_is_reported",
    },
    (7, "outcome"): {ALL: ANSWERS + "test_every_outcome_is_shown"},
    (8, "promise"): {
        "adopt both variants": ADOPTION + "test_every_variant_ends_as_a_new_database",
        "dialer.legacy_archive": ADOPTION + "test_each_kind_of_dirt",
        "old statements": ADOPTION + "test_the_old_statements_afterwards",
        "old runs": OLD_RUNS + "test_a_run_that_it_inserts_afterwards_is_started",
    },
    (8, "command"): {ALL: OLD_RUNS + "test_calls_in_doubt_are_followed_and_never_repeated"},
    (9, "command"): {
        "python -m dialer doctor --json": DOCTOR + "test_the_command_prints_and_exits_as_the_contract_says",
        "python -m dialer watch --business ID": "tests/integration/test_cli_run.py::"
        "test_watch_prints_a_line_for_each_change_until_it_is_interrupted",
        "python -m dialer run start|pause|resume|cancel|stop --business ID --run ID [--hang-up] [--wait] [--by NAME] [--json]": (
            "tests/integration/test_cli_run.py::test_its_answer_is_that_of_the_api"
        ),
        "python -m dialer rejected list|requeue|discard": "tests/contract/test_streams_page.py::test_a_service_starts_and_watches_a_run",
        "python -m dialer dnc import --business ID [--file F] [--register NAME] [--reason TEXT] [--by NAME] [--json]": DNC
        + "test_a_list_is_imported_and_exported",
        "python -m dialer dnc export --business ID [--file F] [--register NAME] [--json]": DNC
        + "test_a_register_is_replaced_from_standard_input",
        "python -m dialer business export --business ID --file F [--phone +E164] [--json]": ERASURE
        + "test_a_person_is_exported_and_erased",
        "python -m dialer business erase --business ID --yes [--phone +E164] [--keep-days N] [--by NAME] [--json]": ERASURE
        + "test_a_business_is_exported_and_erased",
        "python -m dialer business proof --business ID --phone +E164 [--json]": ERASURE + "test_a_business_is_exported_and_erased",
        "python -m dialer restored [--by NAME] [--json]": INTEGRATION + "test_restores.py::test_a_copy_that_shows_nothing_is_told_of",
        "python -m dialer account set --business ID [--by NAME] [--json]": ACCOUNTS + "test_an_account_is_given_and_taken_back",
        "python -m dialer account clear --business ID [--by NAME] [--json]": ACCOUNTS + "test_an_account_is_given_and_taken_back",
        "python -m dialer account reseal [--by NAME] [--json]": ACCOUNTS + "test_credentials_are_resealed",
    },
    (9, "promise"): {
        "worker /metrics": INTEGRATION + "test_metrics.py::test_a_worker_serves_its_metrics_and_says_when_it_cannot_dial",
        "PgBouncer": INTEGRATION + "test_poolers.py::test_what_many_do_at_once_adds_up",
        "redis+cluster://": "tests/chaos/test_redis_cluster.py::test_commands_events_cancel_stop_and_the_shared_pace",
        "several secrets": INTEGRATION + "test_rotation.py::test_a_secret_key_is_rotated_with_calls_on_the_line",
        "own accounts only": INTEGRATION + "test_web_edges.py::test_no_account_is_needed_while_every_business_has_its_own",
    },
}
