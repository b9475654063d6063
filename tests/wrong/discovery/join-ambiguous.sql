-- /// detection
-- title = "Somebody deleted pods"
-- severity = "low"
-- status = "stable"
-- key = ["username"]
-- summary = "{username} deleted pods"
-- description = "Look who it was."
-- window = "10m"
-- ///
SELECT username
FROM audit AS first
JOIN audit AS second ON first.username = second.username AND second.time > first.time
