-- name: of_attempt
SELECT a.run_id, a.phone, a.from_number, j.lead_name AS name, v.variables, b.region,
       CASE WHEN r.settings ? 'script' THEN r.settings -> 'script' ELSE b.script END AS script,
       r.settings ->> 'on_machine' AS on_machine, r.settings ->> 'machine_message' AS machine_message,
       r.settings ->> 'machine_detection' AS machine_detection
FROM dialer.attempts a
JOIN dialer.businesses b ON b.business_id = a.business_id
JOIN public.outbound_call_runs r ON r.id = a.run_id AND r.business_id = a.business_id
JOIN public.outbound_call_jobs j ON j.id = a.job_id AND j.business_id = a.business_id
LEFT JOIN dialer.lead_variables v ON v.run_id = j.run_id AND v.position = j.position AND v.business_id = j.business_id
WHERE a.business_id = $1 AND a.id = $2

-- name: inbound
SELECT b.business_id, b.region, b.inbound_script AS script, b.account_sid,
       ARRAY(SELECT p.sealed FROM dialer.provider_accounts p
             WHERE p.business_id = b.business_id AND p.account_sid = b.account_sid ORDER BY p.id DESC) AS sealed
FROM dialer.businesses b WHERE b.caller_ids @> jsonb_build_array(jsonb_build_object('number', $1::text))
ORDER BY b.business_id LIMIT $2
