-- Room on each page, so that a new balance goes beside the old one and no index is touched.
CREATE TABLE account (
    account int PRIMARY KEY,
    balance bigint NOT NULL CHECK (balance >= 0)
) WITH (fillfactor = 20);

CREATE TABLE event (
    position bigint PRIMARY KEY,
    request_id uuid NOT NULL UNIQUE,
    bank_reference text NOT NULL UNIQUE,
    account int NOT NULL,
    amount bigint NOT NULL,
    note text NOT NULL,
    hash bytea
);
