set local lock_timeout = '2s';

-- The badge from which a shared one was passed on. Null for badges that were not shared, and for those that the previous build shares.
alter table badges add column shared_from uuid;
alter table badges add constraint badges_shared_from_a_badge
    foreign key (community_id, shared_from) references badges (community_id, badge_id) not valid;
alter table badges add constraint badges_only_shared_ones_have_a_source
    check (shared_from is null or source = 'share') not valid;
create index badges_by_source on badges (community_id, shared_from) where shared_from is not null;
