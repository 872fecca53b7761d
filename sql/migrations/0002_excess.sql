-- Calls beyond the limit hold no slot, so no lane names them: this finds the few there are, for whoever is to hang them up.
CREATE INDEX attempts_excess ON dialer.attempts (business_id, id) WHERE excess;
