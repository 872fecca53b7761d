"""Deliberate faults in the rules of calling."""

from __future__ import annotations

from tests.mutants.fault import Fault

RULE_FAULTS = (
    Fault("hours_are_ignored", "leads are called outside of their calling hours"),
    Fault("windows_outlive_the_rules", "a change of the hours leaves the windows that were computed by the old ones"),
    Fault(
        "windows_of_old_rules", "a window is stored although the rules have changed since it was computed",
        sql=("windows_v1", "WHERE dialer.hours_of(r.settings, b.calling_hours) = coalesce(w.hours, 'null')", "WHERE TRUE"),
        test="tests/integration/test_claim_rules.py::test_a_window_of_rules_that_have_changed_is_not_stored",
    ),
    Fault("do_not_call_is_ignored", "a number on the business's own do-not-call list is called"),
    Fault("register_is_ignored", "a number on an official register is called"),
    Fault("country_is_ignored", "a country that may not be called is called"),
    Fault("daily_cap_is_ignored", "a number is called more often on one day than it may be"),
    Fault("gap_is_ignored", "two runs call the same number in short succession"),
    Fault("budget_is_ignored", "a run goes on when its budget is used up"),
    Fault("amount_is_ignored", "calls are claimed that the budget in money does not cover"),
    Fault("number_is_ignored", "a number is called that the provider has refused in another run"),
    Fault("cost_is_kept", "what was reserved for a call that nobody answered is not given back"),
    Fault("stop_is_ignored", "leads are taken while the dialling of the business is stopped"),
    Fault("retries_without_end", "a lead is retried for ever"),
    Fault("retry_at_once", "a retry does not wait for its pause"),
    Fault(
        "taken_too_late_in_sql", "a lead is taken so late that its call may begin after the zone has closed",
        sql=("check_v1", "SELECT opens_at <= now() AND send_by < closes_at OR", "SELECT opens_at <= now() AND now() < closes_at OR"),
    ),
    Fault(
        "closing_ignored_in_sql", "a claim looks at the opening of a zone alone",
        sql=("check_v1", "SELECT opens_at <= now() AND send_by < closes_at OR", "SELECT opens_at <= now() OR"),
    ),
    Fault(
        "gap_counts_ancestors_in_sql", "calls of the run that is called again count for the gap",
        sql=("check_v1", "t.run_id <> ALL (r.lineage)) + r.gap", "t.run_id >= ALL (r.lineage)) + r.gap"),
    ),
    Fault(
        "unsent_counts_in_sql", "an attempt that was never sent counts for the daily cap and the gap",
        sql=("check_v1", "\n                  AND t.state NOT IN ('not_sent', 'not_placed')", ""),
        test="tests/integration/test_claim_rules.py::test_a_call_of_another_run_that_was_not_placed_counts_for_no_rule",
    ),
    Fault(
        "cap_is_one_more_in_sql", "the daily cap allows one call more",
        sql=("check_v1", "e.today >= r.max_per_day", "e.today > r.max_per_day"),
        test="tests/integration/test_claim_rules.py::test_the_daily_cap_counts_every_call_of_the_day",
    ),
    Fault(
        "refused_beyond_the_permits_in_sql", "a lead is put off before the leads in front of it are taken, and the cursor passes them",
        sql=("check_v1", "+ (c.rule IS NOT NULL)::integer AS call", "* (c.rule IS NULL)::integer AS call"),
        test="tests/integration/test_claim.py"
        "::test_a_lead_behind_the_permits_is_not_refused_before_those_in_front_of_it_are_taken",
    ),
    Fault(
        "later_turns_are_not_checked_in_sql", "a lead whose turn comes because others are refused is called unchecked",
        sql=("check_v1", "IF cardinality(stopped) > 0 THEN", "IF FALSE THEN"),
        test="tests/integration/test_claim.py"
        "::test_a_lead_whose_turn_comes_as_those_of_another_run_are_refused_is_checked_too",
    ),
    Fault(
        "turns_of_dear_leads_are_not_checked_in_sql", "a lead whose turn comes because others are too dear is called unchecked",
        sql=("check_v1", "THEN o.is_next OR o.business_id = ANY (priced)", "THEN o.is_next OR r.amount_left IS NOT NULL"),
        test="tests/integration/test_budget_in_money.py"
        "::test_a_lead_whose_turn_comes_as_those_of_another_run_are_too_dear_is_checked_too",
    ),
    Fault(
        "retry_of_an_ended_lead_in_sql", "a lead that a rule ends keeps its retry",
        sql=("take_v1", "p.fate IN ('take', 'end') AND q.job_id", "p.fate = 'take' AND q.job_id"),
    ),
    Fault(
        "one_retry_more_in_sql", "a lead is retried once more than its run says",
        sql=("states", "WHERE t.earlier < w.times", "WHERE t.earlier <= w.times"),
        test="tests/integration/test_claim_rules.py::test_retries_of_each_outcome_by_itself_and_the_last_outcome_is_kept",
    ),
    Fault(
        "retry_after_a_hang_up_in_sql", "a call that a person has hung up is retried",
        sql=("record_effects_v1", "AND j.hang_up_at IS NULL AND j.run_was", "AND j.run_was"),
        test="tests/integration/test_claim_rules.py::test_there_is_no_retry_of_a_call_that_a_person_has_hung_up",
    ),
    Fault(
        "budget_counts_unsent_in_sql", "an attempt that was never sent uses up the budget",
        sql=("record_v1", "- (m.state IN ('not_sent', 'not_placed'))::int", ""),
    ),
    Fault(
        "cost_of_a_call_is_kept_in_sql", "what was reserved for a call is kept when it is over",
        sql=("record_v1", "amount_spent = r.amount_spent + d.cost,", ""),
        test="tests/integration/test_budget_in_money.py::test_what_a_call_costs",
    ),
    Fault(
        "each_call_is_covered_alone_in_sql", "a budget in money is checked for each lead of a claim alone",
        sql=("check_v1", "OVER (PARTITION BY o.run_id ORDER BY o.nth) AS cost", "OVER (PARTITION BY o.run_id, o.nth) AS cost"),
        test="tests/integration/test_budget_in_money.py::test_the_longest_call_is_reserved_and_what_it_did_not_use_comes_back",
    ),
    Fault(
        "uncovered_while_calls_go_on_in_sql", "a run is paused for its budget although a call in progress may give money back",
        sql=("pass_v1", "x.in_progress_count + coalesce(t.taken, 0) = 0", "coalesce(t.taken, 0) = 0"),
        test="tests/integration/test_budget_in_money.py::test_the_longest_call_is_reserved_and_what_it_did_not_use_comes_back",
    ),
    Fault(
        "windows_kept_in_sql", "a change of rules does not delete the windows",
        sql=("windows_v1", "SET opens_at = CASE WHEN w.always THEN '-infinity'::timestamptz END,", "SET opens_at = z.opens_at,"),
    ),
)  # fmt: skip
