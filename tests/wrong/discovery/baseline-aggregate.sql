-- /// detection
-- title = "Somebody deleted pods"
-- severity = "low"
-- status = "stable"
-- key = ["username"]
-- summary = "{username} deleted pods"
-- description = "Look who it was."
-- baseline = "30d"
-- ///
SELECT username, count(*) AS deleted
FROM audit
GROUP BY username
