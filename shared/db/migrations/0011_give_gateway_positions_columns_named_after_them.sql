-- told_session and told_seq are renamed to gateway_session and gateway_sequence: the gateway position of the event that recorded the
-- latest join or leave. During a deploy the previous build reads and writes the old columns, so both pairs exist, and a trigger copies
-- each write to the other pair. A migration of the next release drops the trigger, its function, and the old columns.
set local lock_timeout = '2s';
alter table profiles
    add column gateway_session text,
    add column gateway_sequence bigint,
    add constraint profiles_gateway_session_length check (length(gateway_session) between 1 and 200) not valid,
    add constraint profiles_gateway_sequence_positive check (gateway_sequence >= 0) not valid,
    add constraint profiles_gateway_position_complete
        check ((gateway_session is null) = (gateway_sequence is null)) not valid;

create function copy_gateway_position() returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
declare
    written_by_previous_build constant boolean :=
        case tg_op
            when 'INSERT' then new.gateway_session is null
            else (new.told_session, new.told_seq) is distinct from (old.told_session, old.told_seq)
        end;
begin
    if written_by_previous_build then
        new.gateway_session := new.told_session;
        new.gateway_sequence := new.told_seq;
    else
        new.told_session := new.gateway_session;
        new.told_seq := new.gateway_sequence;
    end if;
    return new;
end
$$;
revoke all on function copy_gateway_position() from public;

-- Only for writes of these columns: most updates of profiles count activity.
create trigger copy_gateway_position
    before insert or update of told_session, told_seq, gateway_session, gateway_sequence on profiles
    for each row execute function copy_gateway_position();
