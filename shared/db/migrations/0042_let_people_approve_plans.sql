set local lock_timeout = '2s';

-- Approvals of plans: what a pipeline wants to change, and the one decision about it (docs/approvals.md).
--
-- approval_events is the audit trail, append-only for every login. The state of an approval follows from its events: a trigger writes it and
-- no login may, so that no application changes the state without an event. A plan belongs to the platform and to no community, so these
-- tables have no tenant, and every transaction can read them: they hold no secret, since the pipeline masks the summary before it is sent.

create table approvals (
    -- Chosen by the pipeline: a request that is sent again is the same approval.
    approval_id uuid primary key,
    title text not null check (length(title) between 1 and 200),
    -- SHA-256 of the plan. An approval is for this plan and for no other one.
    plan_digest bytea not null check (length(plan_digest) = 32),
    -- The verdict of the policy. A plan that it blocks cannot be approved by anybody, and has no row.
    verdict text not null check (verdict in ('passed', 'needs_approval')),
    risk_score smallint not null check (risk_score between 0 and 100),
    risk_reasons text[] not null check (cardinality(risk_reasons) <= 50),
    summary text not null check (length(summary) <= 8000),
    -- A name of APPROVAL_PEOPLE.
    requester text not null check (length(requester) between 1 and 64),
    -- The API key, as in the audit log.
    submitted_by text not null check (length(submitted_by) between 1 and 100),
    -- Whether an approval needs a second factor.
    needs_mfa boolean not null,
    state text not null check (state in ('pending', 'approved', 'rejected', 'lapsed')),
    created_at timestamptz not null,
    expires_at timestamptz not null check (expires_at > created_at and expires_at <= created_at + interval '24 hours')
);
create index approvals_by_time on approvals (created_at);
create index approvals_pending on approvals (expires_at) where state = 'pending';

create table approval_events (
    event_id uuid primary key,
    approval_id uuid not null references approvals,
    event_type text not null check (event_type in ('SUBMITTED', 'REFUSED', 'APPROVED', 'REJECTED', 'LAPSED')),
    -- A name of APPROVAL_PEOPLE; `platform` for LAPSED.
    actor text not null check (length(actor) between 1 and 64),
    via text not null check (via in ('api', 'slack', 'discord', 'platform')),
    -- The account that acted: id of a Slack or Discord user, or of an API key.
    account text not null check (length(account) between 1 and 100),
    second_factor boolean not null,
    -- Why an attempt was refused.
    reason text check (length(reason) between 1 and 200),
    occurred_at timestamptz not null,
    check ((event_type = 'REFUSED') = (reason is not null))
);
create index approval_events_by_approval on approval_events (approval_id, occurred_at);
-- The trigger decides; this refuses a second decision even without it.
create unique index approval_events_one_decision on approval_events (approval_id)
    where event_type in ('APPROVED', 'REJECTED', 'LAPSED');
select make_append_only('approval_events');

-- The signature of the record of a decided approval. The record is kept as bytes: the signature is of what was written.
create table approval_signatures (
    approval_id uuid primary key references approvals,
    record bytea not null check (length(record) between 2 and 65536),
    algorithm text not null,
    key_id text not null,
    key_version integer not null check (key_version > 0),
    signature text not null,
    signed_at timestamptz not null default clock_timestamp()
);
select make_append_only('approval_signatures');

-- The message of an approval at Slack or Discord. Not a part of the audit trail.
create table approval_messages (
    approval_id uuid not null references approvals,
    destination text not null check (destination in ('slack', 'discord')),
    -- Null until the message is sent.
    channel text,
    message text,
    -- The state that the message shows; null until it is sent.
    shown_state text,
    -- Until when one process sends or edits it.
    taken_until timestamptz,
    primary key (approval_id, destination),
    check ((channel is null) = (message is null))
);

-- Whatever the statement says, an approval begins as pending, now, for the stated time, which is at most 24 hours.
create function begin_approval() returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    validity interval;
begin
    new.state := 'pending';
    validity := least(new.expires_at - new.created_at, interval '24 hours');
    new.created_at := clock_timestamp();
    new.expires_at := new.created_at + validity;
    return new;
end
$$;

-- Runs as the owner: only this function appends SUBMITTED.
create function record_submission() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog
as $$
begin
    insert into public.approval_events (event_id, approval_id, event_type, actor, via, account, second_factor, occurred_at)
    values (gen_random_uuid(), new.approval_id, 'SUBMITTED', new.requester, 'api', new.submitted_by, false, new.created_at);
    return null;
end
$$;

-- Only the state changes, once, to that of the decision that was appended.
create function guard_approval() returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    if old.state <> 'pending' or to_jsonb(new) - 'state' <> to_jsonb(old) - 'state' or not exists (
        select from public.approval_events
         where approval_id = new.approval_id and event_type = upper(new.state)
           and event_type in ('APPROVED', 'REJECTED', 'LAPSED'))
    then
        raise exception 'an approval changes only by the event of its decision' using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$;

-- A decision that does not follow from the state is left out: of concurrent ones the first counts. The lock of the approval is held until the
-- transaction ends, so the others wait for it. Runs as the owner: no login may lock an approval, which takes the right to change it.
create function check_approval_event() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog
as $$
declare
    approval record;
begin
    if new.event_type = 'SUBMITTED' then
        if pg_trigger_depth() < 2 then
            raise exception 'SUBMITTED is appended with its approval' using errcode = 'insufficient_privilege';
        end if;
        return new;
    end if;
    new.occurred_at := clock_timestamp();
    select * into approval from public.approvals where approval_id = new.approval_id for update;
    if not found then
        return null;
    end if;
    -- The time after the lock: a decision that waited may be too late.
    new.occurred_at := clock_timestamp();
    case new.event_type
    when 'REFUSED' then
        -- So many are enough to see an attack; more of them would fill the table.
        if (select count(*) from public.approval_events
             where approval_id = new.approval_id and event_type = 'REFUSED') >= 100 then
            return null;
        end if;
    when 'LAPSED' then
        if approval.state <> 'pending' or new.occurred_at < approval.expires_at then
            return null;
        end if;
    else
        if approval.state <> 'pending' or new.occurred_at >= approval.expires_at
            or lower(new.actor) = lower(approval.requester)
            or (new.event_type = 'APPROVED' and approval.needs_mfa and not new.second_factor)
        then
            return null;
        end if;
    end case;
    return new;
end
$$;

create function apply_approval_event() returns trigger
    language plpgsql security definer
    set search_path = pg_catalog
as $$
begin
    if new.event_type in ('APPROVED', 'REJECTED', 'LAPSED') then
        update public.approvals set state = lower(new.event_type) where approval_id = new.approval_id;
    end if;
    return null;
end
$$;

-- A signature is of a decided approval.
create function check_approval_signature() returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    if not exists (select from public.approvals where approval_id = new.approval_id and state <> 'pending') then
        raise exception 'approval % is not decided', new.approval_id using errcode = 'integrity_constraint_violation';
    end if;
    new.signed_at := clock_timestamp();
    return new;
end
$$;

create trigger begin_approval before insert on approvals for each row execute function begin_approval();
create trigger record_submission after insert on approvals for each row execute function record_submission();
create trigger guard_approval before update on approvals for each row execute function guard_approval();
create trigger refuse_delete before delete on approvals for each row execute function refuse_change();
create trigger refuse_truncate before truncate on approvals for each statement execute function refuse_change();
create trigger check_approval_event before insert on approval_events for each row execute function check_approval_event();
create trigger apply_approval_event after insert on approval_events for each row execute function apply_approval_event();
create trigger check_approval_signature before insert on approval_signatures
    for each row execute function check_approval_signature();
alter table approvals enable always trigger begin_approval;
alter table approvals enable always trigger record_submission;
alter table approvals enable always trigger guard_approval;
alter table approvals enable always trigger refuse_delete;
alter table approvals enable always trigger refuse_truncate;
alter table approval_events enable always trigger check_approval_event;
alter table approval_events enable always trigger apply_approval_event;
alter table approval_signatures enable always trigger check_approval_signature;
revoke all on function begin_approval(), record_submission(), guard_approval(), check_approval_event(), apply_approval_event(),
    check_approval_signature() from public;

grant select, insert on approvals, approval_events, approval_signatures to arrakis_app, arrakis_admin;
grant select, insert, update on approval_messages to arrakis_app, arrakis_admin;

-- The scope `approvals:write`, for keys of the platform. The form is checked here and the list is in the code (ApiKeyScope), so that another
-- scope takes no migration.
alter table platform_api_keys drop constraint platform_api_keys_scopes_check;
alter table platform_api_keys add constraint platform_api_keys_scopes_check check (
    cardinality(scopes) > 0 and array_to_string(scopes, ' ', '?') ~ '^[a-z-]+(:[a-z-]+)?( [a-z-]+(:[a-z-]+)?)*$');
