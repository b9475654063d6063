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
WHERE verb IN ('delete', 'deletecollection')
    AND resource = 'pods'
    AND NOT verb IN ('create', 'delete', 'deletecollection')
