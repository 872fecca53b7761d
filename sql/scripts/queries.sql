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
