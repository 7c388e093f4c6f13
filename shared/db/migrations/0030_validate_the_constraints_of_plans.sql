-- The constraints that 0029 added without a look at existing rows. Validation reads the whole table and blocks no reader and no writer.
set local lock_timeout = '2s';
alter table communities
    validate constraint communities_takeover_is_frozen,
    validate constraint communities_theme_plan_is_known,
    validate constraint communities_tier_roles_is_known,
    validate constraint communities_theme_is_in_the_plan;
