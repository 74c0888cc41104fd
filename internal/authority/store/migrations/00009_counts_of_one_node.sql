-- +goose Up

-- Each node counts the requests of a token for itself.
DROP TABLE request_counts;

-- +goose Down

CREATE TABLE request_counts (
    token_id  TEXT   NOT NULL REFERENCES tokens (id),
    period    BIGINT NOT NULL,
    starts_at BIGINT NOT NULL,
    requests  BIGINT NOT NULL,
    PRIMARY KEY (token_id, period)
);
