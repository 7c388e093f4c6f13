set local lock_timeout = '2s';

-- The member is not listed by /directory, and /naib does not name the member. Set by the member alone.
alter table profiles add column hidden boolean not null default false;
