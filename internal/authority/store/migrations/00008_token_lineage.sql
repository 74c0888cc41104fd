-- +goose Up

-- The token that this one was made with. NULL: it was made in a session, or by
-- the operator.
ALTER TABLE tokens ADD COLUMN parent_id TEXT REFERENCES tokens (id);

-- The latest expiry that the token can give to a token. NULL: any.
ALTER TABLE tokens ADD COLUMN renewable_until BIGINT;

-- Ten times as long as the token was made for, as for new tokens. Those that were
-- made for 29 years or more have no bound.
UPDATE tokens SET renewable_until = created_at + 10 * (expires_at - created_at)
WHERE expires_at IS NOT NULL AND expires_at - created_at < 914544000000000;

CREATE INDEX tokens_by_parent ON tokens (parent_id) WHERE parent_id IS NOT NULL;

-- +goose Down

DROP INDEX tokens_by_parent;
ALTER TABLE tokens DROP COLUMN renewable_until;
ALTER TABLE tokens DROP COLUMN parent_id;
