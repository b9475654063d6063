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
WHERE level = 'Metadata' AND array_length(container_images(object)) > 3
