-- name: room
SELECT coalesce(sum(d.bytes), 0)::bigint FROM dialer.drafts d
WHERE d.business_id = $1 AND d.touched_at > now() - interval '2 days' AND d.draft_id IS DISTINCT FROM $2

-- name: drop_oldest
DELETE FROM dialer.drafts d WHERE d.business_id = $1 AND d.owner = $2 AND d.draft_id NOT IN (
    SELECT x.draft_id FROM dialer.drafts x WHERE x.business_id = $1 AND x.owner = $2
    ORDER BY x.touched_at DESC, x.draft_id DESC LIMIT $3)

-- name: add
INSERT INTO dialer.drafts (business_id, owner, file_name, kind, bytes, answers)
VALUES ($1, $2, $3, $4, $5, $6::jsonb) RETURNING draft_id

-- name: replace
UPDATE dialer.drafts d SET file_name = $4, kind = $5, bytes = $6, answers = $7::jsonb, touched_at = now()
WHERE d.business_id = $1 AND d.owner = $2 AND d.draft_id = $3 AND d.run_id IS NULL RETURNING d.draft_id

-- name: drop_pieces
DELETE FROM dialer.draft_pieces p WHERE p.business_id = $1 AND p.draft_id = $2

-- name: add_piece
INSERT INTO dialer.draft_pieces (business_id, draft_id, number, content) VALUES ($1, $2, $3, $4)

-- name: get
SELECT d.draft_id, d.file_name, d.kind, d.bytes, d.answers, d.run_id, d.touched_at FROM dialer.drafts d
WHERE d.business_id = $1 AND d.owner = $2 AND d.draft_id = $3 AND d.touched_at > now() - interval '2 days'

-- name: of_owner
SELECT d.draft_id, d.file_name, d.kind, d.bytes, d.answers, d.run_id, d.touched_at FROM dialer.drafts d
WHERE d.business_id = $1 AND d.owner = $2 AND d.run_id IS NULL AND d.touched_at > now() - interval '2 days'
ORDER BY d.touched_at DESC

-- name: piece
SELECT p.content FROM dialer.draft_pieces p WHERE p.business_id = $1 AND p.draft_id = $2 AND p.number = $3

-- name: answer
UPDATE dialer.drafts d SET answers = $4::jsonb, touched_at = now()
WHERE d.business_id = $1 AND d.owner = $2 AND d.draft_id = $3 AND d.run_id IS NULL

-- name: finish
UPDATE dialer.drafts d SET run_id = $4, bytes = 0, touched_at = now()
WHERE d.business_id = $1 AND d.owner = $2 AND d.draft_id = $3

-- name: discard
DELETE FROM dialer.drafts d WHERE d.business_id = $1 AND d.owner = $2 AND d.draft_id = $3
