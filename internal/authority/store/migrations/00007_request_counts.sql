-- +goose Up

-- How many requests of a token fell into the last period of each length, by all
-- processes together. Both are microseconds.
CREATE TABLE request_counts (
    token_id  TEXT   NOT NULL REFERENCES tokens (id),
    period    BIGINT NOT NULL,
    starts_at BIGINT NOT NULL,
    requests  BIGINT NOT NULL,
    PRIMARY KEY (token_id, period)
);

-- +goose Down

DROP TABLE request_counts;
