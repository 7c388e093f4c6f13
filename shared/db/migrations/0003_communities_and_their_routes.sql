-- One community is one Discord server and one tenant.
create table communities (
    community_id uuid primary key,
    guild_id bigint not null check (guild_id > 0),
    name text not null,
    theme text not null,
    rule_set text not null,
    plan text not null check (plan in ('free', 'premium')),
    token_profile_id text not null references token_profiles,
    -- Frozen: synthesis and role changes stop, members still read.
    frozen_at timestamptz,
    frozen_reason text,
    onboarded_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- For the foreign key of guild_routes. guild_id alone is unique there, not here: a violation here would tell one tenant
    -- of another's server.
    unique (community_id, guild_id),
    check ((frozen_at is null) = (frozen_reason is null))
);
select protect_tenant_table('communities');
grant select, insert, update on communities to arrakis_app, arrakis_admin;

-- Finds the tenant of a guild before there is one, so everybody may read it; it holds nothing else. Writing takes the tenant.
create table guild_routes (
    guild_id bigint primary key,
    community_id uuid not null unique,
    foreign key (community_id, guild_id) references communities (community_id, guild_id) on delete cascade
);
select protect_tenant_table('guild_routes');
create policy routes_are_readable on guild_routes for select using (true);
grant select, insert, delete on guild_routes to arrakis_app, arrakis_admin;

-- Which Discord role stands for which role of the theme (a tier's, a badge's, a special one).
create table role_bindings (
    community_id uuid not null references communities,
    role_key text not null,
    discord_role_id bigint not null check (discord_role_id > 0),
    bound_at timestamptz not null default now(),
    primary key (community_id, role_key),
    unique (community_id, discord_role_id)
);
select protect_tenant_table('role_bindings');
grant select, insert, update, delete on role_bindings to arrakis_app, arrakis_admin;
