-- Functions that are made may be called by everybody, and one that counts for its owner is a way to write counts: who may
-- make a temporary table could hang it there and have it count whatever he likes. Triggers need no right to call.
REVOKE EXECUTE ON FUNCTION status_count_insert, status_count_update, status_count_delete, status_count_truncate, status_pack
FROM PUBLIC;
