-- Every name begins with parley_, so that other programs may use the same
-- database. Texts are bytea: a text column takes neither U+0000 nor what is no
-- UTF-8. Read one with convert_from(prompt, 'UTF8').
--
-- Indexes hold the SHA-256 of texts, which may be longer than an entry of an
-- index can be.
--
-- Functions are what nodes of this version call, for as long as one may run: a
-- later migration that wants another one gives it another name.

-- One row a turn.
CREATE TABLE parley_turns (
    session bytea       NOT NULL,
    seq     bigint      NOT NULL,
    first   bigint      NOT NULL, -- the seq with which the turn's stretch began
    key     bytea       NOT NULL, -- idempotency key; empty for none
    prompt  bytea       NOT NULL,
    reply   bytea,                -- JSON, in the wire format; NULL while the turn runs
    began   timestamptz NOT NULL,
    ended   timestamptz,          -- NULL while the turn runs
    CHECK ((reply IS NULL) = (ended IS NULL))
);

CREATE UNIQUE INDEX parley_turns_by_session ON parley_turns (sha256(session), seq);
CREATE INDEX parley_turns_by_key ON parley_turns (sha256(session || key), seq) WHERE key <> '';
CREATE INDEX parley_turns_by_age ON parley_turns (began);

CREATE TABLE parley_submissions (
    seq    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id     bytea       NOT NULL,
    form   bytea       NOT NULL,
    fields bytea       NOT NULL, -- JSON: values by field id
    time   timestamptz NOT NULL
);

CREATE UNIQUE INDEX parley_submissions_by_id ON parley_submissions (sha256(id));
CREATE INDEX parley_submissions_by_form ON parley_submissions (sha256(form), seq);

CREATE TABLE parley_secrets (
    name  bytea NOT NULL,
    value bytea NOT NULL
);

CREATE UNIQUE INDEX parley_secrets_by_name ON parley_secrets (sha256(name));

-- What limits count. It need not survive a crash, so it is not logged.
CREATE UNLOGGED TABLE parley_limits (
    key  bytea       NOT NULL PRIMARY KEY, -- SHA-256: it names a visitor
    hits bigint      NOT NULL,
    ends timestamptz NOT NULL
);

CREATE INDEX parley_limits_by_end ON parley_limits (ends);

-- Has what the transaction commits be durable, whatever the server, the
-- database or the role has for a default.
CREATE FUNCTION parley_durable() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END
$$;

-- Begins a turn, or finds the one that the same message began before: see
-- parley.NewTurn. Of a fresh turn, found_ended and found_reply are NULL.
--
-- Turns of one session begin one after the other, under a lock of the
-- session's; each statement then sees what was committed before it. What is
-- begun need not be durable, so the commit waits for no disk.
--
-- The settings have every statement walk an index, however empty the tables
-- were when its plan was made.
CREATE FUNCTION parley_begin(
    new_session bytea, new_key bytea, new_prompt bytea, new_time timestamptz,
    rest_since timestamptz, keys_since timestamptz, twins_since timestamptz, dead_before timestamptz,
    OUT fresh boolean, OUT reused boolean, OUT behind bigint,
    OUT found_seq bigint, OUT found_first bigint, OUT found_began timestamptz, OUT found_ended timestamptz, OUT found_reply bytea
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    id     bytea := sha256(new_session);
    newest record;
    back   bigint; -- the seq from which on to look
    same   bigint; -- that of the turn that the same message began
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(id, 'hex'), 0));
    fresh := false;
    reused := false;
    LOOP
        behind := 0;
        same := NULL;
        SELECT seq, first, began, ended INTO newest FROM parley_turns WHERE sha256(session) = id ORDER BY seq DESC LIMIT 1;
        IF FOUND AND (newest.ended IS NULL OR newest.began >= dead_before OR newest.ended >= twins_since) THEN
            -- None before a finished one that began so early runs or is a twin.
            SELECT seq INTO back FROM parley_turns
            WHERE sha256(session) = id AND ended IS NOT NULL AND began < dead_before ORDER BY seq DESC LIMIT 1;
            SELECT COALESCE(max(seq) FILTER (WHERE ended IS NULL AND began >= dead_before), 0),
                   max(seq) FILTER (WHERE new_key = '' AND key = '' AND prompt = new_prompt AND (ended IS NULL OR ended >= twins_since))
            INTO behind, same
            FROM parley_turns WHERE sha256(session) = id AND seq >= COALESCE(back, 0);
        END IF;
        IF new_key <> '' THEN
            SELECT seq INTO same FROM parley_turns
            WHERE sha256(session || key) = sha256(new_session || new_key) AND key <> ''
              AND session = new_session AND key = new_key AND began >= keys_since
            ORDER BY seq DESC LIMIT 1;
        END IF;

        IF same IS NULL THEN
            found_seq := COALESCE(newest.seq, 0) + 1;
            found_first := found_seq;
            IF COALESCE(newest.ended, newest.began) >= rest_since THEN
                found_first := newest.first;
            END IF;
            found_began := new_time;
            INSERT INTO parley_turns (session, seq, first, key, prompt, began)
            VALUES (new_session, found_seq, found_first, new_key, new_prompt, new_time)
            ON CONFLICT DO NOTHING;
            fresh := FOUND; -- unless a turn with this number was restored meanwhile
            EXIT WHEN fresh;
        ELSE
            -- The dead are taken back, unless they are finished at this moment.
            DELETE FROM parley_turns
            WHERE sha256(session) = id AND seq = same AND prompt = new_prompt AND ended IS NULL AND began < dead_before;
            IF NOT FOUND THEN
                behind := 0;
                SELECT prompt <> new_prompt, seq, first, began, ended, reply
                INTO reused, found_seq, found_first, found_began, found_ended, found_reply
                FROM parley_turns WHERE sha256(session) = id AND seq = same;
                EXIT WHEN FOUND; -- unless it was taken back meanwhile
            END IF;
        END IF;
    END LOOP;
END
$$;

-- Finishes a turn and reports whether it is finished, by this call or an
-- earlier one.
CREATE FUNCTION parley_finish(
    the_session bytea, the_seq bigint, the_began timestamptz, the_reply bytea, the_end timestamptz
) RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    PERFORM parley_durable();
    UPDATE parley_turns SET reply = the_reply, ended = the_end
    WHERE sha256(session) = sha256(the_session) AND seq = the_seq AND began = the_began AND ended IS NULL;
    RETURN FOUND OR EXISTS (
        SELECT FROM parley_turns
        WHERE sha256(session) = sha256(the_session) AND seq = the_seq AND began = the_began AND ended IS NOT NULL);
END
$$;
