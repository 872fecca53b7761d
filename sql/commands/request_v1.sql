-- Requests that are no commands, in the same inbox: each is carried out once; a repeat gets the answer of the first.

-- Receive a request. Returns NULL when it is to be carried out: it is new, or an earlier try of it was cut off. Else
-- its answer; the code of a refusal is id_reused.
CREATE OR REPLACE FUNCTION dialer.receive_request_v1(
    p_business_id integer, p_id text, p_digest bytea, p_type text, p_run_id integer, p_job_id bigint,
    p_requested_by text, p_keep interval)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    request dialer.inbox;
    is_new boolean;
BEGIN
    request.business_id := p_business_id;
    request.id := p_id;
    request.digest := p_digest;
    request.type := p_type;
    request.run_id := p_run_id;
    request.job_id := p_job_id;
    request.hang_up := FALSE;
    request.requested_by := p_requested_by;
    -- No worker has to decide it.
    request.applied_at := clock_timestamp();
    is_new := dialer.receive_command_v1(request, p_keep);
    IF is_new IS NULL THEN
        RETURN jsonb_build_object('code', 'id_reused');
    ELSIF is_new THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT i.answer FROM dialer.inbox i WHERE i.business_id = p_business_id AND i.id = p_id);
END
$$;

-- Store the answer of a request, and return it; of two that were carried out at once, both get the first one's.
CREATE OR REPLACE FUNCTION dialer.answer_request_v1(p_business_id integer, p_id text, p_answer jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    found jsonb;
BEGIN
    UPDATE dialer.inbox i
    SET answer = coalesce(i.answer, p_answer), run_id = coalesce(i.run_id, (p_answer ->> 'run_id')::integer)
    WHERE i.business_id = p_business_id AND i.id = p_id
    RETURNING i.answer INTO found;
    RETURN found;
END
$$;

-- Forget a request that was not carried out: the same one may be sent again.
CREATE OR REPLACE FUNCTION dialer.forget_request_v1(p_business_id integer, p_id text) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM dialer.inbox i WHERE i.business_id = p_business_id AND i.id = p_id
$$;
