-- +goose Up

-- Forms of the web page that made a token. A page that is loaded again sends
-- its form again, and must not make another.
CREATE TABLE sent_forms (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    form       TEXT NOT NULL,
    PRIMARY KEY (session_id, form)
);

-- +goose Down

DROP TABLE sent_forms;
