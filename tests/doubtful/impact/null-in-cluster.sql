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
WHERE resource = 'nodes' AND namespace = 'kube-system' AND NOT listed('mixed', username)
