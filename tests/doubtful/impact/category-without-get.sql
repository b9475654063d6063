-- /// detection
-- title = "Somebody deleted pods"
-- severity = "low"
-- status = "stable"
-- key = ["cluster"]
-- summary = "pods of {cluster} were deleted"
-- description = "Look who it was."
-- categories = ["kube-audit-admin"]
-- ///
SELECT cluster
FROM audit
WHERE verb = 'get' AND resource = 'secrets'
