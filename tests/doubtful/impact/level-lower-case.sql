-- /// detection
-- title = "Somebody deleted pods"
-- severity = "low"
-- status = "stable"
-- key = ["cluster"]
-- summary = "pods of {cluster} were deleted"
-- description = "Look who it was."
-- ///
SELECT cluster
FROM audit
WHERE level = 'metadata' AND verb = 'delete'
