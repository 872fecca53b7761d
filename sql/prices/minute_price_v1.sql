-- The price of a minute of a call to a number: that of its longest prefix in the price table of this currency, or the
-- highest price when it has none there. NULL when no table in this currency has been imported.
CREATE OR REPLACE FUNCTION dialer.minute_price(p_currency text, p_phone text) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT p.minute_price FROM dialer.prices p
         WHERE p.currency = p_currency
           AND p.prefix = ANY (ARRAY(SELECT left(ltrim(p_phone, '+'), n) FROM generate_series(1, 15) n))
         ORDER BY length(p.prefix) DESC LIMIT 1),
        (SELECT p.minute_price FROM dialer.prices p WHERE p.currency = p_currency
         ORDER BY p.minute_price DESC LIMIT 1))
$$;
