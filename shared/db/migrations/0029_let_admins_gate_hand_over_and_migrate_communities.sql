set local lock_timeout = '2s';

-- The tier from which a command, or a part of one, can be used. What has no row is open to every member.
create table feature_gates (
    community_id uuid not null references communities,
    gate_key text not null check (gate_key ~ '^[a-z][a-z0-9_-]{0,49}$'),
    tier text not null check (tier ~ '^[a-z][a-z0-9_-]{0,49}$'),
    set_by bigint not null check (set_by > 0),
    set_at timestamptz not null default now(),
    primary key (community_id, gate_key)
);
select protect_tenant_table('feature_gates');
grant select, insert, update, delete on feature_gates to arrakis_app, arrakis_admin;

-- The least plan that includes the community's theme, and until when a theme is used that the plan does not include (after a downgrade).
-- The previous build writes neither: its communities have 'free', which allows every plan, until their theme or plan is set again.
alter table communities add column theme_plan text not null default 'free';
alter table communities add column theme_grace_until timestamptz;
-- The role policy that an admin chose in place of the theme's.
alter table communities add column tier_roles text;
-- The admin who alone controls the community after an emergency takeover; only while it is frozen.
alter table communities add column controlled_by bigint;
alter table communities add constraint communities_takeover_is_frozen
    check (controlled_by is null or (controlled_by > 0 and frozen_at is not null)) not valid;
alter table communities add constraint communities_theme_plan_is_known check (theme_plan in ('free', 'premium')) not valid;
alter table communities add constraint communities_tier_roles_is_known
    check (tier_roles in ('exclusive', 'cumulative')) not valid;
alter table communities add constraint communities_theme_is_in_the_plan
    check (theme_plan = 'free' or plan = 'premium' or theme_grace_until is not null) not valid;

-- Imports of members from another tool, one for each preview of /admin-migrate. members: a JSON array of [user id, tier].
create table tier_imports (
    community_id uuid not null references communities,
    import_id bigint not null check (import_id > 0),
    state text not null default 'previewed' check (state in ('previewed', 'applied', 'undone')),
    source text not null,
    days integer not null check (days between 1 and 90),
    members jsonb not null check (jsonb_typeof(members) = 'array'),
    created_by bigint not null check (created_by > 0),
    created_at timestamptz not null default now(),
    primary key (community_id, import_id)
);
select protect_tenant_table('tier_imports');
grant select, insert, update, delete on tier_imports to arrakis_app, arrakis_admin;

-- The tier that an import gave to a member. It counts until the member verifies a wallet, at the longest until its end.
create table imported_tiers (
    community_id uuid not null,
    user_id bigint not null,
    import_id bigint not null,
    tier text not null check (tier ~ '^[a-z][a-z0-9_-]{0,49}$'),
    expires_at timestamptz not null,
    primary key (community_id, user_id),
    foreign key (community_id, user_id) references profiles on delete cascade,
    foreign key (community_id, import_id) references tier_imports on delete cascade
);
create index imported_tiers_by_import on imported_tiers (community_id, import_id);
select protect_tenant_table('imported_tiers');
grant select, insert, update, delete on imported_tiers to arrakis_app, arrakis_admin;
