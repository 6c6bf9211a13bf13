-- The newest hash. Whoever takes it makes the others wait until its transaction is durable: the
-- order of a chain is that of its commits.
CREATE TABLE head (position bigint NOT NULL, hash bytea NOT NULL) WITH (fillfactor = 10);
INSERT INTO head VALUES (0, sha256(''));

CREATE FUNCTION link(previous bytea, id uuid, reference text, account int, amount bigint, note text)
RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT sha256(previous || uuid_send(id) || int4send(account) || int8send(amount)
        || int4send(length(reference)) || convert_to(reference, 'UTF8') || convert_to(note, 'UTF8'))
$$;

CREATE FUNCTION post_one(id uuid, reference text, of int, moves bigint, words text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    at bigint;
    newest bytea;
BEGIN
    SELECT position, hash INTO at, newest FROM head FOR UPDATE;
    newest := link(newest, id, reference, of, moves, words);
    INSERT INTO event VALUES (at, id, reference, of, moves, words, newest);
    UPDATE account SET balance = balance + moves WHERE account = of;
    UPDATE head SET position = at + 1, hash = newest;
    RETURN at;
END
$$;

CREATE FUNCTION post_batch(ids uuid[], refs text[], accounts int[], amounts bigint[], notes text[])
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    at bigint;
    newest bytea;
    hashes bytea[] := '{}';
    one record;
BEGIN
    SELECT position, hash INTO at, newest FROM head FOR UPDATE;
    FOR one IN SELECT * FROM unnest(ids, refs, accounts, amounts, notes) AS e(i, r, a, m, n) LOOP
        newest := link(newest, one.i, one.r, one.a, one.m, one.n);
        hashes := array_append(hashes, newest);
    END LOOP;
    INSERT INTO event
        SELECT at + e.nth - 1, e.i, e.r, e.a, e.m, e.n, e.h
        FROM unnest(ids, refs, accounts, amounts, notes, hashes)
            WITH ORDINALITY AS e(i, r, a, m, n, h, nth);
    UPDATE account SET balance = balance + s.moves
        FROM (SELECT e.a, sum(e.m)::bigint AS moves
              FROM unnest(accounts, amounts) AS e(a, m) GROUP BY e.a) s
        WHERE account.account = s.a;
    UPDATE head SET position = at + cardinality(ids), hash = newest;
    RETURN at;
END
$$;
