-- One row a turn, written once when the turn is finished. A running turn is in
-- the server's memory only.
CREATE TABLE turns (
    id      INTEGER PRIMARY KEY,
    session TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    first   INTEGER NOT NULL, -- the seq with which the turn's stretch began
    key     TEXT    NOT NULL, -- idempotency key; '' for none
    prompt  TEXT    NOT NULL,
    reply   TEXT    NOT NULL, -- JSON, in the wire format
    began   INTEGER NOT NULL, -- microseconds since 1970, UTC, as all times
    ended   INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX turns_by_session ON turns (session, seq);
CREATE INDEX turns_by_age ON turns (began);

CREATE TABLE submissions (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    id     TEXT    NOT NULL UNIQUE,
    form   TEXT    NOT NULL,
    fields TEXT    NOT NULL, -- JSON: values by field id
    time   INTEGER NOT NULL
) STRICT;

CREATE INDEX submissions_by_form ON submissions (form, seq);

CREATE TABLE secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
