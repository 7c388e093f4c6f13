-- Asked for the days of one member, the planner took this index and read the days of the whole community. Its one use,
-- forgetting old days once a day, does with the primary key.
set local lock_timeout = '2s';
drop index profile_activity_by_day;
