create table profiles (
    community_id uuid not null references communities,
    user_id bigint not null check (user_id > 0),
    display_name text not null,
    wallet text check (wallet ~ '^0x[0-9a-f]{40}$'),
    joined_at timestamptz not null,
    left_at timestamptz,
    -- Tier as of the last evaluation, and the best one ever held.
    tier text,
    tier_since timestamptz,
    highest_tier text,
    -- Roles given by hand stay: the platform leaves this member's alone.
    protected boolean not null default false,
    -- Has put the name on the waitlist.
    waitlisted_at timestamptz,
    commands bigint not null default 0 check (commands >= 0),
    messages bigint not null default 0 check (messages >= 0),
    last_active_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (community_id, user_id),
    check ((tier is null) = (tier_since is null))
);
-- A wallet is one member's; who has left keeps it, so that coming back restores the tier.
create unique index profiles_wallet_is_one_members on profiles (community_id, wallet) where wallet is not null;
create index profiles_by_tier on profiles (community_id, tier) where left_at is null;
-- Who joined first: Early Adopter asks.
create index profiles_by_joining on profiles (community_id, joined_at, user_id);
select protect_tenant_table('profiles');
grant select, insert, update, delete on profiles to arrakis_app, arrakis_admin;

-- One row per member and UTC day on which they were active; older than the longest window that a badge looks at, pruned.
create table profile_activity (
    community_id uuid not null,
    user_id bigint not null,
    day date not null,
    commands integer not null default 0 check (commands >= 0),
    messages integer not null default 0 check (messages >= 0),
    primary key (community_id, user_id, day),
    foreign key (community_id, user_id) references profiles on delete cascade
);
create index profile_activity_by_day on profile_activity (community_id, day);
select protect_tenant_table('profile_activity');
grant select, insert, update, delete on profile_activity to arrakis_app, arrakis_admin;

-- When a member first reached a tier. Kept for ever: badges of ascent and Former Naib rest on it.
create table tiers_reached (
    community_id uuid not null,
    user_id bigint not null,
    tier text not null,
    reached_at timestamptz not null,
    primary key (community_id, user_id, tier),
    foreign key (community_id, user_id) references profiles on delete cascade
);
select protect_tenant_table('tiers_reached');
grant select, insert on tiers_reached to arrakis_app, arrakis_admin;

create table badges (
    community_id uuid not null,
    badge_id uuid not null,
    user_id bigint not null,
    badge text not null,
    -- rule: earned; admin: given by one; share: passed on by a member who holds it, whence the lineage.
    source text not null check (source in ('rule', 'admin', 'share')),
    awarded_by bigint check (awarded_by > 0),
    awarded_at timestamptz not null,
    reason text,
    revoked_at timestamptz,
    revoked_by bigint,
    revoke_reason text,
    primary key (community_id, badge_id),
    foreign key (community_id, user_id) references profiles on delete cascade,
    check ((source = 'rule') = (awarded_by is null)),
    check (source <> 'share' or awarded_by <> user_id)
);
create unique index badges_held_once on badges (community_id, user_id, badge) where revoked_at is null;
create unique index badges_shared_once on badges (community_id, awarded_by, badge) where source = 'share' and revoked_at is null;
select protect_tenant_table('badges');
grant select, insert, update on badges to arrakis_app, arrakis_admin;
