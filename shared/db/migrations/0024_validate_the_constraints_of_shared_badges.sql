-- The constraints that 0023 added without a look at existing rows. Validation reads the whole table and blocks no reader and no writer.
set local lock_timeout = '2s';
alter table badges
    validate constraint badges_shared_from_a_badge,
    validate constraint badges_only_shared_ones_have_a_source;
