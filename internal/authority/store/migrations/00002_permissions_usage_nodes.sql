-- +goose Up

-- Before this a token is not accepted. NULL: from its creation on.
ALTER TABLE tokens ADD COLUMN valid_from BIGINT;

-- What the token is narrowed to, sorted, with a space between. NULL: to nothing,
-- so that all that the role holds counts; '' would be no permission at all.
ALTER TABLE tokens ADD COLUMN permissions TEXT;

-- In which unit of the organization the member works. NULL: in the default one.
ALTER TABLE memberships ADD COLUMN active_unit_id TEXT REFERENCES units (id);

-- Which token was used for what. Rows are removed when they are old.
CREATE TABLE token_uses (
    token_id   TEXT    NOT NULL REFERENCES tokens (id),
    at         BIGINT  NOT NULL,
    request_id TEXT    NOT NULL,
    method     TEXT    NOT NULL,
    path       TEXT    NOT NULL,
    status     INTEGER NOT NULL,
    PRIMARY KEY (token_id, at, request_id)
);

CREATE INDEX token_uses_by_time ON token_uses (at);

-- Counts up, in the same transaction, with every change after which a remembered
-- yes may be wrong.
CREATE TABLE verification_epoch (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch BIGINT  NOT NULL
);

INSERT INTO verification_epoch (id, epoch) VALUES (1, 0);

-- Links by which a person signs in to the web page, once.
CREATE TABLE sign_in_links (
    digest         TEXT   NOT NULL PRIMARY KEY,
    user_id        TEXT   NOT NULL REFERENCES users (id),
    org_id         TEXT   NOT NULL REFERENCES organizations (id),
    pepper_version BIGINT NOT NULL REFERENCES peppers (version),
    expires_at     BIGINT NOT NULL
);

CREATE INDEX sign_in_links_by_end ON sign_in_links (expires_at);

-- +goose Down

DROP TABLE sign_in_links;
DROP TABLE verification_epoch;
DROP TABLE token_uses;
ALTER TABLE memberships DROP COLUMN active_unit_id;
ALTER TABLE tokens DROP COLUMN permissions;
ALTER TABLE tokens DROP COLUMN valid_from;
