set local lock_timeout = '2s';

-- Who requests and who decides are names of APPROVAL_PEOPLE, which have these characters only. The comparison of 0042 is of the texts in lower case:
-- 'stilgar ' would be another person than the requester 'stilgar'.
alter table approvals add constraint approvals_requester_is_a_name check (requester ~ '^[A-Za-z0-9@._-]+$') not valid;
alter table approval_events add constraint approval_events_actor_is_a_name check (actor ~ '^[A-Za-z0-9@._-]+$') not valid;
