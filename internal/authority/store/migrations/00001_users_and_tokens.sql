-- +goose Up

-- Times are microseconds since 1970, UTC.

CREATE TABLE organizations (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    name_key   TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE units (
    id           TEXT    NOT NULL PRIMARY KEY,
    org_id       TEXT    NOT NULL REFERENCES organizations (id),
    name         TEXT    NOT NULL,
    slug         TEXT    NOT NULL,
    external_ref TEXT,
    is_default   BOOLEAN NOT NULL,
    created_at   BIGINT  NOT NULL,
    UNIQUE (org_id, slug)
);

CREATE TABLE users (
    id         TEXT    NOT NULL PRIMARY KEY,
    email      TEXT    NOT NULL,
    email_key  TEXT    NOT NULL UNIQUE,
    first_name TEXT    NOT NULL,
    last_name  TEXT    NOT NULL,
    status     TEXT    NOT NULL CHECK (status IN ('active', 'suspended')),
    verified   BOOLEAN NOT NULL,
    created_at BIGINT  NOT NULL
);

CREATE TABLE memberships (
    id         TEXT   NOT NULL PRIMARY KEY,
    org_id     TEXT   NOT NULL REFERENCES organizations (id),
    user_id    TEXT   NOT NULL REFERENCES users (id),
    role       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (user_id, org_id)
);

-- Which pepper versions this database was written with. The proof is an HMAC
-- of a fixed text; it tells a wrong pepper file from a right one.
CREATE TABLE peppers (
    version BIGINT NOT NULL PRIMARY KEY,
    proof   TEXT   NOT NULL
);

CREATE TABLE tokens (
    id             TEXT   NOT NULL PRIMARY KEY,
    user_id        TEXT   NOT NULL REFERENCES users (id),
    org_id         TEXT   NOT NULL REFERENCES organizations (id),
    name           TEXT   NOT NULL,
    prefix         TEXT   NOT NULL,
    pepper_version BIGINT NOT NULL REFERENCES peppers (version),
    digest         TEXT   NOT NULL UNIQUE,
    created_at     BIGINT NOT NULL,
    last_used_at   BIGINT,
    expires_at     BIGINT,
    revoked_at     BIGINT,
    UNIQUE (user_id, prefix)
);

CREATE INDEX tokens_of_user ON tokens (user_id, created_at);
CREATE INDEX unrevoked_tokens_of_user ON tokens (user_id) WHERE revoked_at IS NULL;

CREATE TABLE sessions (
    id             TEXT   NOT NULL PRIMARY KEY,
    user_id        TEXT   NOT NULL REFERENCES users (id),
    org_id         TEXT   NOT NULL REFERENCES organizations (id),
    prefix         TEXT   NOT NULL,
    pepper_version BIGINT NOT NULL REFERENCES peppers (version),
    digest         TEXT   NOT NULL UNIQUE,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL
);

CREATE INDEX sessions_by_end ON sessions (expires_at);

-- +goose Down

DROP TABLE sessions;
DROP TABLE tokens;
DROP TABLE peppers;
DROP TABLE memberships;
DROP TABLE users;
DROP TABLE units;
DROP TABLE organizations;
