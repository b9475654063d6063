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
WHERE verb = 'create' AND resource = 'pods' AND array_length(privileged_containers(object)) > 0 AND NOT listed('lower', concat(cluster, '/', namespace))
