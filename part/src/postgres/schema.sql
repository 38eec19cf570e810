-- The contract's records as tables. The primary runs this at each start.

CREATE TABLE IF NOT EXISTS kv (key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL, version bigint NOT NULL);
CREATE SEQUENCE IF NOT EXISTS versions;

-- Writes with an idempotency key.
CREATE TABLE IF NOT EXISTS request (
    id text COLLATE "C" PRIMARY KEY, about text NOT NULL, sum bigint, version bigint,
    repeated bigint NOT NULL DEFAULT 0, at timestamptz NOT NULL DEFAULT now());
CREATE INDEX IF NOT EXISTS request_at ON request (at);

-- The primary's address.
CREATE TABLE IF NOT EXISTS about (name text PRIMARY KEY, value text NOT NULL);

-- A write and its idempotency key, in one transaction. A refused write leaves nothing behind.
CREATE OR REPLACE FUNCTION kv_write(
    p_key text, p_action text, p_value bytea, p_by bigint, p_if text, p_version bigint, p_request text,
    p_about text, OUT sum bigint, OUT version bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    old kv;
    earlier request;
    new_value bytea := p_value;
    v_sum bigint;
    v_version bigint;
BEGIN
    IF p_request IS NOT NULL THEN
        INSERT INTO request (id, about) VALUES (p_request, p_about) ON CONFLICT (id) DO NOTHING;
        IF NOT FOUND THEN
            -- The repetition writes as well, so it is acknowledged only once the first write could have been.
            UPDATE request r SET repeated = r.repeated + 1 WHERE r.id = p_request RETURNING r.* INTO earlier;
            IF earlier.about IS DISTINCT FROM p_about THEN
                RAISE EXCEPTION 'reused' USING ERRCODE = 'LB003';
            END IF;
            kv_write.sum := earlier.sum;
            kv_write.version := earlier.version;
            RETURN;
        END IF;
    END IF;
    -- Writes to one record are serialized, even when the record does not exist yet.
    PERFORM pg_advisory_xact_lock(hashtextextended(p_key, 0));
    SELECT k.* INTO old FROM kv k WHERE k.key = p_key;
    IF (p_if = 'absent' AND old.key IS NOT NULL)
        OR (p_if = 'version' AND old.version IS DISTINCT FROM p_version) THEN
        RAISE EXCEPTION 'conflict' USING ERRCODE = 'LB001';
    END IF;
    v_version := nextval('versions');
    IF p_action = 'add' THEN
        IF old.key IS NOT NULL AND encode(old.value, 'escape') !~ '^[+-]?[0-9]{1,19}$' THEN
            RAISE EXCEPTION 'not a number' USING ERRCODE = 'LB002';
        END IF;
        v_sum := coalesce(encode(old.value, 'escape')::bigint, 0) + p_by;
        new_value := convert_to(v_sum::text, 'UTF8');
    END IF;
    IF p_action = 'delete' THEN
        DELETE FROM kv k WHERE k.key = p_key;
    ELSE
        INSERT INTO kv (key, value, version) VALUES (p_key, new_value, v_version)
            ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version;
    END IF;
    IF p_request IS NOT NULL THEN
        UPDATE request r SET sum = v_sum, version = v_version WHERE r.id = p_request;
    END IF;
    kv_write.sum := v_sum;
    kv_write.version := v_version;
END $$;
