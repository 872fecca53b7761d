-- What a worker does with a queue that it has leased.

-- Record the result of a try: {delivered, gone, response_status, response_body, error}. A delivery that fails is tried
-- again after p_pause, at the latest at its retry_until; a failure after that is final, and final for the deliveries
-- behind it that are as old. Returns true when the next delivery may be sent under this lease, which goes on for
-- p_lease.
CREATE OR REPLACE FUNCTION dialer.record_delivery_v1(
    p_business_id integer, p_webhook_id integer, p_queue bigint, p_lease_number integer, p_delivery_id bigint,
    p_result jsonb, p_pause interval, p_lease interval)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    -- A receiver that was away for a day is not asked once for each event of that day.
    shortest CONSTANT interval := '1 minute';
    behind CONSTANT integer := 1000;
    delivered CONSTANT boolean := (p_result ->> 'delivered')::boolean;
    gone CONSTANT boolean := (p_result ->> 'gone')::boolean;
    delivery dialer.deliveries;
BEGIN
    PERFORM FROM dialer.delivery_queues q
    WHERE q.business_id = p_business_id AND q.webhook_id = p_webhook_id AND q.queue = p_queue
      AND q.leases = p_lease_number
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    UPDATE dialer.deliveries d
    SET status = CASE WHEN delivered THEN 'delivered' WHEN gone OR d.retry_until <= now() THEN 'failed'
                      ELSE 'pending' END,
        ended_at = CASE WHEN delivered OR gone OR d.retry_until <= now() THEN now() END,
        tries = d.tries + 1, tried_at = now(), response_status = (p_result ->> 'response_status')::smallint,
        response_body = p_result ->> 'response_body', error = p_result ->> 'error'
    WHERE d.business_id = p_business_id AND d.webhook_id = p_webhook_id AND d.delivery_id = p_delivery_id
      AND d.status = 'pending'
    RETURNING * INTO delivery;
    IF delivered THEN
        UPDATE dialer.delivery_queues q SET failures = 0, leased_until = now() + p_lease
        WHERE q.business_id = p_business_id AND q.webhook_id = p_webhook_id AND q.queue = p_queue;
        PERFORM dialer.webhook_works_v1(p_business_id, p_webhook_id);
        RETURN TRUE;
    END IF;
    IF delivery.status = 'failed' AND NOT gone THEN
        UPDATE dialer.deliveries d SET status = 'failed', ended_at = now(), error = 'held_back'
        WHERE d.delivery_id IN (SELECT x.delivery_id FROM dialer.deliveries x
                                WHERE x.business_id = p_business_id AND x.webhook_id = p_webhook_id
                                  AND x.queue = p_queue AND x.status = 'pending' AND x.retry_until <= now()
                                ORDER BY x.event_id LIMIT behind)
          AND d.business_id = p_business_id;
    END IF;
    UPDATE dialer.delivery_queues q
    SET failures = q.failures + 1, leased_until = NULL,
        due_at = CASE WHEN delivery.status = 'pending'
                      THEN least(now() + p_pause, greatest(delivery.retry_until, now() + shortest))
                      ELSE now() END
    WHERE q.business_id = p_business_id AND q.webhook_id = p_webhook_id AND q.queue = p_queue;
    UPDATE dialer.webhooks w
    SET failing_since = coalesce(w.failing_since, now()), disabled_at = CASE WHEN gone THEN now() END
    WHERE w.business_id = p_business_id AND w.webhook_id = p_webhook_id AND (w.failing_since IS NULL OR gone);
    RETURN FALSE;
END
$$;

-- A try has succeeded. If everything had failed for some minutes, the receiver was away and is back: its queues are
-- due.
CREATE OR REPLACE FUNCTION dialer.webhook_works_v1(p_business_id integer, p_webhook_id integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    -- While other deliveries succeed, one that the receiver refuses keeps its pauses.
    was_away CONSTANT interval := '5 minutes';
    since timestamptz;
BEGIN
    SELECT w.failing_since INTO since FROM dialer.webhooks w
    WHERE w.business_id = p_business_id AND w.webhook_id = p_webhook_id;
    IF since IS NULL THEN
        RETURN;
    END IF;
    UPDATE dialer.webhooks w SET failing_since = NULL
    WHERE w.business_id = p_business_id AND w.webhook_id = p_webhook_id;
    IF since < now() - was_away THEN
        UPDATE dialer.delivery_queues q SET due_at = now()
        FROM (SELECT x.queue FROM dialer.delivery_queues x
              WHERE x.business_id = p_business_id AND x.webhook_id = p_webhook_id AND x.due_at > now()
              FOR UPDATE SKIP LOCKED) waiting
        WHERE q.business_id = p_business_id AND q.webhook_id = p_webhook_id AND q.queue = waiting.queue;
    END IF;
END
$$;

-- End a lease: an empty queue is deleted, another one is due at once for the next lease. It is locked first, so that
-- the second statement sees the deliveries of a transaction that has just added some.
CREATE OR REPLACE FUNCTION dialer.release_queue_v1(
    p_business_id integer, p_webhook_id integer, p_queue bigint, p_lease_number integer)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM dialer.delivery_queues q
    WHERE q.business_id = p_business_id AND q.webhook_id = p_webhook_id AND q.queue = p_queue
      AND q.leases = p_lease_number
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    ELSIF EXISTS (SELECT FROM dialer.deliveries d
                  WHERE d.business_id = p_business_id AND d.webhook_id = p_webhook_id AND d.queue = p_queue
                    AND d.status = 'pending') THEN
        UPDATE dialer.delivery_queues q SET leased_until = NULL, due_at = greatest(q.due_at, now())
        WHERE q.business_id = p_business_id AND q.webhook_id = p_webhook_id AND q.queue = p_queue;
    ELSE
        DELETE FROM dialer.delivery_queues q
        WHERE q.business_id = p_business_id AND q.webhook_id = p_webhook_id AND q.queue = p_queue;
    END IF;
END
$$;

-- Forget what is no longer kept, of the webhooks of some partitions, at most p_limit rows of each: deliveries a week
-- after their end, those beyond the newest p_kept of a webhook, and those of webhooks that were deleted. The pending
-- ones of a webhook that is disabled, and those beyond the newest p_kept, have failed. Returns the number of rows.
CREATE OR REPLACE FUNCTION dialer.forget_deliveries_v1(p_partitions integer[], p_kept integer, p_limit integer)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    webhook dialer.webhooks;
    oldest_kept bigint;
    total integer := 0;
    n integer;
BEGIN
    FOR webhook IN SELECT w.* FROM dialer.webhooks w JOIN dialer.lanes l ON l.business_id = w.business_id
                   WHERE l.partition = ANY (p_partitions) ORDER BY w.webhook_id LOOP
        oldest_kept := (SELECT d.delivery_id FROM dialer.deliveries d
                        WHERE d.webhook_id = webhook.webhook_id AND d.business_id = webhook.business_id
                        ORDER BY d.delivery_id DESC OFFSET p_kept - 1 LIMIT 1);
        -- Ids grow with time: what is to be deleted is among the lowest ones.
        DELETE FROM dialer.deliveries d USING (
            SELECT x.delivery_id FROM (SELECT o.delivery_id FROM dialer.deliveries o
                                       WHERE o.webhook_id = webhook.webhook_id AND o.business_id = webhook.business_id
                                       ORDER BY o.delivery_id LIMIT p_limit) oldest
            JOIN dialer.deliveries x ON x.delivery_id = oldest.delivery_id
            WHERE webhook.deleted_at IS NOT NULL OR x.status <> 'pending'
                AND (x.delivery_id < oldest_kept OR x.ended_at < now() - interval '7 days')
            FOR UPDATE OF x SKIP LOCKED) old
        WHERE d.delivery_id = old.delivery_id AND d.business_id = webhook.business_id;
        GET DIAGNOSTICS n = ROW_COUNT;
        total := total + n;
        IF webhook.deleted_at IS NOT NULL THEN
            DELETE FROM dialer.delivery_queues q
            WHERE q.webhook_id = webhook.webhook_id AND q.business_id = webhook.business_id;
            DELETE FROM dialer.webhooks w
            WHERE w.webhook_id = webhook.webhook_id AND w.business_id = webhook.business_id
              AND NOT EXISTS (SELECT FROM dialer.deliveries d
                              WHERE d.webhook_id = w.webhook_id AND d.business_id = w.business_id);
        END IF;
        UPDATE dialer.deliveries d SET status = 'failed', ended_at = now(), error = given_up.reason
        FROM (SELECT x.delivery_id, CASE WHEN webhook.disabled_at IS NULL THEN 'too_many' ELSE 'disabled' END AS reason
              FROM dialer.deliveries x
              WHERE x.webhook_id = webhook.webhook_id AND x.business_id = webhook.business_id AND x.status = 'pending'
                AND (webhook.disabled_at IS NOT NULL OR x.delivery_id < oldest_kept)
              LIMIT p_limit FOR UPDATE SKIP LOCKED) given_up
        WHERE d.delivery_id = given_up.delivery_id AND d.business_id = webhook.business_id;
        GET DIAGNOSTICS n = ROW_COUNT;
        total := total + n;
    END LOOP;
    RETURN total;
END
$$;
