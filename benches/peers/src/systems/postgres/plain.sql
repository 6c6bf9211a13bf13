-- Positions come from a sequence, so commits of many sessions share a sync. They may have gaps.
CREATE SEQUENCE positions CACHE 100;

CREATE FUNCTION post_one(id uuid, reference text, of int, moves bigint, words text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO event VALUES (nextval('positions'), id, reference, of, moves, words, NULL);
    UPDATE account SET balance = balance + moves WHERE account = of;
END
$$;

CREATE FUNCTION post_batch(ids uuid[], refs text[], accounts int[], amounts bigint[], notes text[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO event
        SELECT nextval('positions'), e.i, e.r, e.a, e.m, e.n, NULL
        FROM unnest(ids, refs, accounts, amounts, notes) AS e(i, r, a, m, n);
    UPDATE account SET balance = balance + s.moves
        FROM (SELECT e.a, sum(e.m)::bigint AS moves
              FROM unnest(accounts, amounts) AS e(a, m) GROUP BY e.a) s
        WHERE account.account = s.a;
END
$$;
