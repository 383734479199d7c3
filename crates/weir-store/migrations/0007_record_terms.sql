-- What is notable in a block, as a filter: outcomes and rules, alone and together with the identity. Null: a block of before, which may
-- hold anything.
ALTER TABLE record_blocks ADD COLUMN terms BYTEA;
