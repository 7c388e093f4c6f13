-- In place of the function of 0020. When a build without roll_back_to stores a batch in the middle of a rollback, it has deleted the
-- events from its first block on, and not those before: they are deleted here. A reset gives the cursor a new run_id, a batch does not;
-- a reset may move the cursor forward as well, and then the rollback continues.
create or replace function eligibility_holdings_follow_the_cursor() returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    if old.roll_back_to is not null and new.roll_back_to is not null and new.next_block > old.next_block
       and new.run_id is not distinct from old.run_id
    then
        delete from public.eligibility_claim_events
         where token_profile_id = new.token_profile_id
           and block_number >= old.roll_back_to and block_number < old.next_block;
        delete from public.eligibility_burn_events
         where token_profile_id = new.token_profile_id
           and block_number >= old.roll_back_to and block_number < old.next_block;
        new.roll_back_to := null;
        new.held_block := null;
    end if;
    if new.held_block > new.next_block and (new.roll_back_to is null or new.roll_back_to > new.next_block) then
        new.held_block := null;
    end if;
    return new;
end
$$;
