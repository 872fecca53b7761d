-- What a business does with its webhooks: add, delete, send a delivery again.

-- Add a webhook. The answer has its id and, sealed, its key; its code is empty, id_reused, or too_many when the
-- business has p_most of them. Received, audited and answered in one call: a repeat gets the same key.
CREATE OR REPLACE FUNCTION dialer.add_webhook_v1(
    p_business_id integer, p_id text, p_digest bytea, p_requested_by text, p_keep interval, p_url text,
    p_events text[], p_sealed_key text, p_most integer)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    made dialer.webhooks;
    known CONSTANT jsonb := dialer.receive_request_v1(p_business_id, p_id, p_digest, 'webhook.add', NULL, NULL,
                                                      p_requested_by, p_keep);
BEGIN
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    -- Of two that are added at once, the second one counts the first.
    PERFORM FROM dialer.businesses b WHERE b.business_id = p_business_id FOR NO KEY UPDATE;
    IF (SELECT count(*) FROM dialer.webhooks w
        WHERE w.business_id = p_business_id AND w.deleted_at IS NULL) >= p_most THEN
        PERFORM dialer.forget_request_v1(p_business_id, p_id);
        RETURN jsonb_build_object('code', 'too_many');
    END IF;
    INSERT INTO dialer.webhooks (business_id, url, events, sealed_key, created_by)
    VALUES (p_business_id, p_url, p_events, p_sealed_key, p_requested_by) RETURNING * INTO made;
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (p_business_id, p_requested_by, 'webhook.add',
            jsonb_build_object('webhook_id', made.webhook_id, 'events', made.events));
    RETURN dialer.answer_request_v1(p_business_id, p_id, jsonb_build_object(
        'code', '', 'webhook_id', made.webhook_id, 'created_at', made.created_at, 'sealed_key', made.sealed_key));
END
$$;

-- Delete a webhook; false when there is none. Nothing is sent after that, but for a request that is on its way.
CREATE OR REPLACE FUNCTION dialer.delete_webhook_v1(p_business_id integer, p_webhook_id integer, p_requested_by text)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE dialer.webhooks w SET deleted_at = now()
    WHERE w.business_id = p_business_id AND w.webhook_id = p_webhook_id AND w.deleted_at IS NULL;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    INSERT INTO dialer.audit_log (business_id, actor, action, detail)
    VALUES (p_business_id, p_requested_by, 'webhook.delete', jsonb_build_object('webhook_id', p_webhook_id));
    RETURN TRUE;
END
$$;

-- Send a delivery again: at once, and for another 24 hours if that fails. One that has ended gets a queue of its own,
-- so that it holds back nothing; with one that is pending, its queue is due. The code of the answer is empty,
-- id_reused, not_found, or disabled.
CREATE OR REPLACE FUNCTION dialer.redeliver_v1(
    p_business_id integer, p_id text, p_digest bytea, p_requested_by text, p_keep interval, p_webhook_id integer,
    p_delivery_id bigint)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    known CONSTANT jsonb := dialer.receive_request_v1(p_business_id, p_id, p_digest, 'webhook.redeliver', NULL, NULL,
                                                      p_requested_by, p_keep);
    webhook dialer.webhooks;
    delivery dialer.deliveries;
BEGIN
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    SELECT * INTO webhook FROM dialer.webhooks w
    WHERE w.business_id = p_business_id AND w.webhook_id = p_webhook_id AND w.deleted_at IS NULL;
    SELECT * INTO delivery FROM dialer.deliveries d
    WHERE d.business_id = p_business_id AND d.webhook_id = p_webhook_id AND d.delivery_id = p_delivery_id;
    IF webhook.webhook_id IS NULL OR delivery.delivery_id IS NULL OR webhook.disabled_at IS NOT NULL THEN
        PERFORM dialer.forget_request_v1(p_business_id, p_id);
        RETURN jsonb_build_object('code', CASE WHEN webhook.disabled_at IS NULL OR delivery.delivery_id IS NULL
                                               THEN 'not_found' ELSE 'disabled' END);
    END IF;
    IF delivery.status <> 'pending' THEN
        delivery.queue := -p_delivery_id;
    END IF;
    -- The queue first, then its deliveries, as record does.
    INSERT INTO dialer.delivery_queues (business_id, webhook_id, queue)
    VALUES (p_business_id, p_webhook_id, delivery.queue)
    ON CONFLICT (webhook_id, queue) DO UPDATE SET due_at = now();
    UPDATE dialer.deliveries d
    SET status = 'pending', queue = delivery.queue, ended_at = NULL, retry_until = now() + interval '24 hours'
    WHERE d.business_id = p_business_id AND d.delivery_id = p_delivery_id AND d.status <> 'pending';
    INSERT INTO dialer.audit_log (business_id, actor, action, run_id, detail)
    VALUES (p_business_id, p_requested_by, 'webhook.redeliver', delivery.run_id,
            jsonb_build_object('webhook_id', p_webhook_id, 'delivery_id', p_delivery_id));
    RETURN dialer.answer_request_v1(p_business_id, p_id, jsonb_build_object(
        'code', '', 'delivery_id', p_delivery_id, 'status', 'pending'));
END
$$;
