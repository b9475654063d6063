-- /// detection
-- title = "Somebody deleted pods"
-- severity = "low"
-- status = "stable"
-- key = ["username"]
-- summary = "{username} deleted pods"
-- description = "Look who it was."
-- ///
SELECT username, current_timestamp AS seen
FROM audit
WHERE verb = 'delete'
