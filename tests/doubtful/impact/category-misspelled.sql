-- /// detection
-- title = "Somebody deleted pods"
-- severity = "low"
-- status = "stable"
-- key = ["cluster"]
-- summary = "pods of {cluster} were deleted"
-- description = "Look who it was."
-- categories = ["kube-apisever"]
-- ///
SELECT cluster
FROM control_plane
WHERE message LIKE '%x%'
